import { type Gap, type Pool, withGaps } from '@headwater/database';
import { encodeRepoJob } from '@headwater/events';
import { type Logger, seam, sleep } from '@headwater/ops';
import { keysOf, Producer, type Redis } from '@headwater/streams';
import type { IndexerMetrics } from './metrics.ts';

export interface GapContext {
  pool: Pool;
  redis: Redis;
  log: Logger;
  metrics: IndexerMetrics;
  graceMs: number;
}

const pollMs = 2_000;
const limit = 500;
/** A repo whose fetch did not close the gap is asked for again after this. */
const againMs = 30 * 60_000;

/**
 * Sends repos whose history has a hole back to be fetched, ahead of first-time repos. The suspicion is kept in
 * PostgreSQL: a crash can send a repo twice, never forget it.
 */
export async function sendGaps(context: GapContext, signal: AbortSignal): Promise<void> {
  const { pool, redis, log, metrics, graceMs } = context;
  const producer = new Producer(redis, keysOf(redis, 'repo_backfill').urgent, { log });
  const deliver = async (gaps: Gap[]) => {
    const ids = await producer.append(gaps.map(jobOf), { signal });
    gaps.forEach(({ did, reason }, i) => {
      log.debug({ did, job: ids[i], reason }, 'a repo out of step is to be fetched again');
    });
    seam('indexer:gaps-sent');
    for (const { reason } of gaps) metrics.gaps.inc({ reason });
    log.info({ repos: gaps.length }, 'repos out of step are to be fetched again');
  };
  while (!signal.aborted) {
    const sent = await withGaps(pool, { graceMs, againMs, limit }, deliver);
    if (sent < limit) await sleep(pollMs, signal);
  }
}

/** With the rev that closes the gap, so that a repo which was fetched meanwhile is not fetched twice. */
function jobOf({ did, reason, above }: Gap) {
  return encodeRepoJob({ did, host: '', rev: above ?? '', active: true, reason });
}
