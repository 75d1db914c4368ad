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
 * sees the other, and one may write what it made out before the other came. So
 * after the transaction that writes the records all is looked at once more, on
 * the same operations, and again until a look changes nothing (follow.ts):
 * whoever commits last looks last. What another is just writing the first look
 * leaves to the next, which waits for it: first looks are large, and would
 * else wait for each other in circles. An entry is acknowledged after
 * that; if it is delivered again, everything is looked at again, though no
 * record changes. Of a batch without news the first run, in the transaction,
 * is left out, and of the posts only those are judged that a glance finds not
 * as they should be, and can't correct by itself (settled.ts).
 */
import { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import type { Version } from '../prepare.ts';
import { together } from '../together.ts';
import type { Changes } from './derivation.ts';
import { recordFacts } from './facts.ts';
import { Judging } from './judging.ts';
import { writeOpThreads } from './op-threads.ts';
import { settleOptOuts } from './opt-outs.ts';
import { writePostNotifications } from './post-notifications.ts';
import { correctQuoteCounts } from './quote-counts.ts';
import { removeWhatEnded } from './removals.ts';
import { forgetNotifications, writeSubjectNotifications } from './subject-notifications.ts';
import { narrowed, type Targets, targetsOf } from './targets.ts';
import { collectionOf, postNsid } from './uris.ts';

/**
 * Runs all derivations over what a batch brought.
 *
 * @returns posts that the batch does not name and that were judged otherwise than before: to be looked at again
 */
export async function derive(changes: Changes): Promise<string[]> {
  await together(recordFacts(changes), settleOptOuts(changes), forgetNotifications(changes));
  const { deferred = false, backfillNotifications } = changes.options;
  if (deferred && !backfillNotifications && !changes.ops.some((op) => op.live)) return [];
  const targets = targetsOf(changes.ops, changes.options);
  await writeSubjectNotifications(changes, targets);
  if (deferred) return [];
  const look = { written: changes.written, again: [], afterCommit: false, patient: false };
  const changed = await follow(changes.client, targets, changes.counts, look);
  return changed.filter((uri) => !targets.posts.has(uri));
}

/**
 * Looks once more, after the commit, at all that a batch's operations may have consequences for.
 *
 * @param client in a transaction of its own that holds no repo's lock
 * @param again posts that the batch's transaction or the look before changed
 * @param first whether to look at everything, or at `again` and what follows from it alone
 * @param patient whether to wait for rows that another is writing, or to leave them for the next look
 * @returns posts of which anything was changed: to be looked at again, since what it was judged by may have changed
 */
export async function followUp(
  client: Client,
  all: Targets,
  { again, first, patient }: { again: readonly string[]; first: boolean; patient: boolean },
): Promise<string[]> {
  const counts = new Counts();
  const look = { written: [], again, afterCommit: true, patient };
  const changed = await follow(client, first ? all : narrowed(all, again), counts, look);
  await counts.write(client);
  return changed;
}

/** Whether any of these operations has consequences beyond its own repo. */
export function hasFollowUp(targets: Targets): boolean {
  const { posts, threadGates, postGates, pairs, endedPairs, reposts } = targets;
  const relations = pairs.length + endedPairs.length;
  return posts.size + threadGates.size + postGates.size + relations + reposts.size > 0;
}

interface Look {
  /** Versions that the same transaction has written. */
  written: readonly Version[];
  again: readonly string[];
  /** Nobody will look at these posts once more, unless something changes. */
  afterCommit: boolean;
  /** Whether to wait for rows that another is writing, or to leave them for the next look. */
  patient: boolean;
}

async function follow(
  client: Client,
  targets: Targets,
  counts: Counts,
  { written, again, afterCommit, patient }: Look,
): Promise<string[]> {
  const posts = again.filter((uri) => collectionOf(uri) === postNsid);
  const removed = removeWhatEnded(client, targets, counts, patient);
  const judging = new Judging(client, counts, { afterCommit, patient });
  const [left, judged] = await together(removed, judging.run(targets, posts, removed));
  await writeOpThreads(client, targets, judged);
  const told = await writePostNotifications(client, targets, judged, written);
  const recounted = await correctQuoteCounts(client, counts, judged, targets, posts);
  return [...new Set([...left, ...judged.changed, ...told, ...recounted])];
}
