import {
  type DueHandle,
  dueHandles,
  isTransient,
  type Pool,
  postponeHandle,
  writeHandle,
} from '@headwater/database';
import { type HandleResolver, IdentityError, type IdentityResolver } from '@headwater/identity';
import { type Logger, seam, sleep } from '@headwater/ops';
import type { IndexerMetrics } from './metrics.ts';

export interface HandleContext {
  pool: Pool;
  identities: IdentityResolver;
  handles: HandleResolver;
  log: Logger;
  metrics: IndexerMetrics;
  concurrency: number;
}

const pollMs = 1_000;
const leaseMs = 120_000;
/** First pause after a handle that could not be verified; each further try doubles it. */
const againMs = 60 * 60_000;
const longestMs = 7 * 24 * againMs;

/**
 * Verifies handles that are due, each in both directions, in a lane of its own: what is slow here holds no record
 * back. What is due is kept in PostgreSQL.
 */
export async function verifyHandles(context: HandleContext, signal: AbortSignal): Promise<void> {
  const { pool, concurrency } = context;
  while (!signal.aborted) {
    const due = await dueHandles(pool, concurrency * 4, leaseMs);
    if (due.length === 0) {
      await sleep(pollMs, signal);
      continue;
    }
    const queue = due.values();
    const work = async () => {
      for (const one of queue) if (!signal.aborted) await verify(context, one);
    };
    await Promise.all(Array.from({ length: concurrency }, work));
  }
}

async function verify(context: HandleContext, due: DueHandle): Promise<void> {
  const { pool, metrics, log } = context;
  const pause = Math.min(longestMs, againMs * 2 ** Math.min(due.tries, 10));
  try {
    const handle = await verifiedHandle(context, due);
    await writeHandle(pool, due.did, handle, handle === null ? pause : null);
    seam('indexer:handle-written');
    metrics.handles.inc({ outcome: handle === null ? 'none' : 'verified' });
  } catch (err) {
    if (isTransient(err)) throw err;
    // An answer that could not be had says nothing about the handle: what is known stays.
    metrics.handles.inc({ outcome: err instanceof IdentityError ? err.reason : 'failed' });
    log.debug({ err, did: due.did }, 'a handle could not be looked at');
    await postponeHandle(pool, due.did, Math.min(pause, againMs));
  }
}

/** @returns null when the document claims no handle, or one that does not name the DID back */
async function verifiedHandle(
  { identities, handles }: HandleContext,
  due: DueHandle,
): Promise<string | null> {
  const identity = await (due.refresh ? identities.refresh(due.did) : identities.resolve(due.did));
  return (await handles.verifiedHandle(identity))?.toLowerCase() ?? null;
}
