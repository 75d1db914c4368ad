import { randomUUID } from 'node:crypto';
import { type Logger, seam } from '@headwater/ops';
import type { RepoError, RepoSnapshot } from '@headwater/repo';
import type { Producer } from '@headwater/streams';
import { compare } from './compare.ts';
import type { BackfillerMetrics } from './metrics.ts';
import type { Outcome } from './outcome.ts';
import { type PartLimits, Parts } from './parts.ts';
import type { RepoStore } from './store.ts';

/** The same for all repos. */
export interface SendContext {
  store: RepoStore;
  producer: Producer;
  metrics: BackfillerMetrics;
  log: Logger;
  wanted: (collection: string) => boolean;
  limits: PartLimits;
}

export interface SendOptions {
  /** The entry of `repo_backfill` that asked for it. */
  job: string;
  /** When the fetch began: what the network said later is newer. */
  startedAt: Date;
  /** Compare although this very rev is complete. */
  force: boolean;
  /** Nothing was known of the repo. */
  unknown: boolean;
  /** Say that the account is active. */
  showAccount: boolean;
  signal: AbortSignal;
}

/** A repo with many unusable records fills no log. */
const LOGGED_PER_REPO = 3;

/**
 * The fetch protocol from the floor on: raises it, compares the verified repo
 * with our rows, sends what differs. Interrupted anywhere it can be repeated
 * from its start, under another fetch id.
 */
export async function sendDifferences(
  snapshot: RepoSnapshot,
  context: SendContext,
  { job, startedAt, force, unknown, showAccount, signal }: SendOptions,
): Promise<Outcome> {
  const { store, producer, metrics, log, wanted, limits } = context;
  const { did, rev, commit, data } = snapshot;
  // Names its job, so that one name leads from who asked to the tables; a repetition has another name.
  const fetch = `${job}.${randomUUID().slice(0, 8)}`;
  // Other jobs share the producer: if Redis loses parts of this one, whoever notices, this one must begin again.
  const { generation } = producer;
  const begun = await store.begin({ did, rev, fetch, force, unknown, startedAt: startedAt.getTime() });
  if (begun === 'complete' || begun === 'older') return { end: begun === 'complete' ? 'unchanged' : 'older' };

  seam('backfiller:fetch-begun');
  const parts = new Parts({
    repo: { did, rev, commit, data, fetch, time: startedAt.toISOString() },
    limits,
    send: async (entries) => {
      await producer.append(entries, { signal, generation });
      seam('backfiller:part-sent');
      metrics.parts.inc(entries.length);
    },
    onUnusable: reporter(snapshot, context),
  });
  const rows = begun === 'fresh' ? undefined : store.rows(did);
  await compare({ records: snapshot.records(), rows, rev, wanted, to: parts });
  if (showAccount) await parts.showAccount();
  await parts.finish();
  seam('backfiller:all-sent');
  for (const [type, count] of Object.entries(parts.counts)) metrics.events.inc({ type }, count);
  log.debug({ did, job, fetch, rev, parts: parts.parts, ...parts.counts }, 'sent a repo');
  return { end: 'sent', fetch };
}

function reporter({ did, rev }: RepoSnapshot, { metrics, log }: SendContext) {
  let seen = 0;
  return (path: string, { reason, message: detail }: RepoError) => {
    metrics.unusable.inc({ reason });
    if (++seen <= LOGGED_PER_REPO) log.warn({ did, path, rev, reason, detail }, 'a record is left out');
  };
}
