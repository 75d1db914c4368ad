/**
 * Rows and flags that follow from several records, of one repo or of many:
 * gates and what they forbid, quotes, OP replies, notifications.
 *
 * The rule: what derivations leave in the tables is a function of what has
 * come, not of the order in which it came. A record that comes late leads to
 * the same rows as if it had come in time, and "in time" is the order of
 * createdAt (moment.ts). So they keep what was (facts.ts), look at everything
 * that an operation may have consequences for (targets.ts, affected.ts), and
 * judge each by what was there at its moment (verdicts.ts).
 *
 * They read rows of other repos, whose locks are not held: a reply and its
 * parent may be written at the same time by two transactions of which neither
 * sees the other. So they run twice: in the transaction that writes the
 * records, and once more after it has committed (`followUp`), on the same
 * operations. Whichever of the two follows up last sees both. An entry is
 * acknowledged after that; if it is delivered again, everything is looked at
 * again, though no record changes. Of a batch without news the first run is
 * left out.
 */
import { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import type { Op, Version } from '../prepare.ts';
import type { Changes, DerivationOptions } from './derivation.ts';
import { recordFacts } from './facts.ts';
import { Judging } from './judging.ts';
import { writeOpThreads } from './op-threads.ts';
import { settleOptOuts } from './opt-outs.ts';
import { writePostNotifications } from './post-notifications.ts';
import { correctQuoteCounts } from './quote-counts.ts';
import { removeWhatEnded } from './removals.ts';
import { writeSubjectNotifications } from './subject-notifications.ts';
import { type Targets, targetsOf } from './targets.ts';

/** Runs all derivations over what a batch brought. */
export async function derive(changes: Changes): Promise<void> {
  const targets = targetsOf(changes.ops, changes.options);
  await recordFacts(changes);
  await settleOptOuts(changes);
  await writeSubjectNotifications(changes, targets);
  if (changes.options.deferred) return;
  await follow(changes.client, targets, changes.counts, changes.written);
}

/**
 * Looks once more, after the commit, at all that a batch's operations may have consequences for.
 *
 * @param client in a transaction of its own that holds no repo's lock
 */
export async function followUp(
  client: Client,
  ops: readonly Op[],
  options: DerivationOptions,
): Promise<void> {
  const counts = new Counts();
  await follow(client, targetsOf(ops, options), counts, []);
  await counts.write(client);
}

/** Whether any of these operations has consequences beyond its own repo. */
export function hasFollowUp(ops: readonly Op[], options: DerivationOptions): boolean {
  const { posts, threadGates, postGates, pairs, reposts } = targetsOf(ops, options);
  return posts.size + threadGates.size + postGates.size + pairs.length + reposts.size > 0;
}

async function follow(
  client: Client,
  targets: Targets,
  counts: Counts,
  written: readonly Version[],
): Promise<void> {
  await removeWhatEnded(client, targets, counts);
  const judged = await new Judging(client, counts).run(targets);
  await writeOpThreads(client, targets, judged);
  await writePostNotifications(client, targets, judged, written);
  await correctQuoteCounts(client, counts, judged, written);
}
