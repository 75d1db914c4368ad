import {
  agedHandles,
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
    await verifyAll(context, due, signal);
  }
}

const roundMs = 1_000;

/**
 * Verifies handles again that were verified long ago: `#identity` may have been missed, and what DNS says of a handle
 * changes without any event. In a lane of its own at a bounded rate, so that however many are due hold up no new one.
 */
export async function refreshHandles(
  context: HandleContext,
  { maxAgeMs, perSecond }: { maxAgeMs: number; perSecond: number },
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const pause = sleep(roundMs, signal);
    const aged = await agedHandles(context.pool, { maxAgeMs, limit: perSecond, leaseMs });
    context.metrics.agedHandles.inc(aged.length);
    await verifyAll(context, aged, signal);
    await pause;
  }
}

async function verifyAll(context: HandleContext, due: DueHandle[], signal: AbortSignal): Promise<void> {
  const queue = due.values();
  const work = async () => {
    for (const one of queue) if (!signal.aborted) await verify(context, one);
  };
  await Promise.all(Array.from({ length: context.concurrency }, work));
}

async function verify(context: HandleContext, due: DueHandle): Promise<void> {
  const { pool, metrics, log } = context;
  const pause = Math.min(longestMs, againMs * 2 ** Math.min(due.tries, 10));
  try {
    const handle = await verifiedHandle(context, due);
    const isNoted = await writeHandle(pool, due, handle, handle === null ? pause : null);
    seam('indexer:handle-written');
    metrics.handles.inc({ outcome: !isNoted ? 'overtaken' : handle === null ? 'none' : 'verified' });
  } catch (err) {
    if (isTransient(err)) throw err;
    // An answer that could not be had says nothing about the handle: what is known stays.
    const reason = err instanceof IdentityError ? err.reason : 'failed';
    metrics.handles.inc({ outcome: reason });
    log.debug({ err, did: due.did }, 'a handle could not be looked at');
    // A directory that is away comes back; a DID that it does not know is seldom known later.
    const isAway = reason === 'unavailable' || reason === 'failed';
    await postponeHandle(pool, due, isAway ? Math.min(pause, againMs) : pause);
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
