import { collectTombstones, type Pool, reopenLost, revAt } from '@headwater/database';
import { type Logger, sleep } from '@headwater/ops';
import { keysOf, type Redis } from '@headwater/streams';
import type { IndexerMetrics } from './metrics.ts';

export interface UpkeepContext {
  pool: Pool;
  redis: Redis;
  log: Logger;
  metrics: IndexerMetrics;
}

/** Relays keep three days of events: after a week none older comes, but from the dead letters of who never named a predecessor. */
const keptMs = 7 * 86_400_000;
const roundMs = 3_600_000;
const pauseMs = 100;
const repos = 500;

/** Removes tombstones that have become needless: all repos that have some, page by page, once an hour. */
export async function collectOld({ pool, metrics }: UpkeepContext, signal: AbortSignal): Promise<void> {
  let after = '';
  while (!signal.aborted) {
    const below = revAt(Date.now() - keptMs);
    const { next, tombstones } = await collectTombstones(pool, { after, below, limit: repos });
    metrics.tombstones.inc(tombstones);
    after = next ?? '';
    await sleep(next === undefined ? roundMs : pauseMs, signal);
  }
}

const lookMs = 15_000;
/** Between the last part in the stream and the mark in PostgreSQL, and what clocks differ by. */
const graceMs = 60_000;

/** Looks for repos whose parts are neither written nor in the stream any more. */
export async function findLost(context: UpkeepContext, signal: AbortSignal): Promise<void> {
  const { pool, redis, log, metrics } = context;
  while (!signal.aborted) {
    const ageMs = await oldestMs(redis);
    const found = ageMs === undefined ? 0 : await reopenLost(pool, ageMs + graceMs, repos);
    metrics.lost.inc(found);
    if (found > 0) log.warn({ repos: found }, 'parts of repos were lost; they are to be fetched again');
    if (found < repos) await sleep(lookMs, signal);
  }
}

/**
 * Age of the oldest part that is not done with, in ms. In one step, so that none is seen in neither place; what was
 * put off may be older than its entry says: undefined.
 */
async function oldestMs(redis: Redis): Promise<number | undefined> {
  const { stream, later } = keysOf(redis, 'firehose_backfill');
  const results = await redis.multi().zcard(later).xrange(stream, '-', '+', 'COUNT', 1).exec();
  const [parked, entries] = (results ?? []).map(([error, value]) => {
    if (error) throw error;
    return value;
  }) as [number, [string, string[]][]];
  if (parked > 0) return undefined;
  const first = entries[0];
  if (!first) return 0;
  const [seconds] = await redis.time();
  return Math.max(0, Number(seconds) * 1000 - Number.parseInt(first[0], 10));
}
