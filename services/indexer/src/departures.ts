import {
  confirmDeparture,
  type Departure,
  dueDepartures,
  isTransient,
  type Pool,
  postponeDeparture,
  purgeRepo,
  refuteDeparture,
} from '@headwater/database';
import { IdentityError, type IdentityResolver } from '@headwater/identity';
import { type Logger, seam, sleep } from '@headwater/ops';
import { getRepoStatus, type XrpcClient, XrpcError } from '@headwater/xrpc';
import type { IndexerMetrics } from './metrics.ts';

export interface DepartureContext {
  pool: Pool;
  identities: Pick<IdentityResolver, 'refresh'>;
  client: XrpcClient;
  log: Logger;
  metrics: IndexerMetrics;
}

const pollMs = 2_000;
const concurrency = 4;
const leaseMs = 10 * 60_000;
/** First pause when nobody can say; each further try doubles it. */
const againMs = 60_000;
const longestMs = 24 * 3_600_000;
const answerMs = 15_000;

/** What its PDS says of an account that is said to be deleted. */
type Truth = 'deleted' | { active: boolean; status: string | null };

/**
 * Asks the PDS of accounts that are said to be deleted, and removes what they wrote where it agrees. In a lane of its
 * own: what is slow here holds no record back. What is due, and how far a purge is, is kept in PostgreSQL; a crash
 * repeats a question or a piece.
 */
export async function followDepartures(context: DepartureContext, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const due = await dueDepartures(context.pool, concurrency, leaseMs);
    await Promise.all(due.map((departure) => follow(context, departure, signal)));
    if (due.length < concurrency) await sleep(pollMs, signal);
  }
}

async function follow(context: DepartureContext, departure: Departure, signal: AbortSignal): Promise<void> {
  const { pool, log, metrics } = context;
  const { did, confirmed, tries } = departure;
  try {
    if (!confirmed && !(await settle(context, did, signal))) return;
    seam('indexer:departure-settled');
    const { removed, done } = await purgeRepo(pool, did, { signal });
    seam('indexer:purged');
    metrics.departures.inc({ outcome: done ? 'purged' : 'back' });
    metrics.purged.inc(removed);
    log.info({ did, records: removed, done }, 'removed what a deleted account had written');
  } catch (err) {
    if (signal.aborted) return;
    if (isTransient(err)) throw err;
    if (!(err instanceof XrpcError) && !(err instanceof IdentityError)) throw err;
    metrics.departures.inc({ outcome: 'unanswered' });
    log.info(
      { did, tries, err: err.message },
      'nobody could say whether an account is deleted; asking later',
    );
    const told = err.retryAfterMs ?? 0;
    await postponeDeparture(
      pool,
      did,
      Math.max(told, Math.min(longestMs, againMs * 2 ** Math.min(tries, 20))),
    );
  }
}

/** @returns whether the account's rows are to go */
async function settle(context: DepartureContext, did: string, signal: AbortSignal): Promise<boolean> {
  const truth = await truthOf(context, did, signal);
  if (truth === 'deleted') return confirmDeparture(context.pool, did);
  await refuteDeparture(context.pool, did, truth);
  context.metrics.departures.inc({ outcome: 'refuted' });
  return false;
}

/**
 * The word of the account's present PDS: an event may come from a host that the account has left.
 *
 * @throws XrpcError, IdentityError when there is no answer that settles it
 */
async function truthOf(
  { identities, client }: DepartureContext,
  did: string,
  signal: AbortSignal,
): Promise<Truth> {
  const pds = await pdsOf(identities, did);
  if (pds === undefined) return 'deleted';
  try {
    const { active, status } = await getRepoStatus(client, pds, did, { signal, deadlineMs: answerMs });
    return !active && status === 'deleted' ? 'deleted' : { active, status: status ?? null };
  } catch (err) {
    if (err instanceof XrpcError && err.errorName === 'RepoNotFound') return 'deleted';
    const hidden = err instanceof XrpcError && err.errorName ? hiddenBy[err.errorName] : undefined;
    if (hidden === undefined) throw err;
    return { active: false, status: hidden };
  }
}

/** Errors that say what the status is. */
const hiddenBy: Record<string, string> = {
  RepoTakendown: 'takendown',
  RepoSuspended: 'suspended',
  RepoDeactivated: 'deactivated',
};

/** undefined: the DID itself is gone, or names no host. */
async function pdsOf(
  identities: Pick<IdentityResolver, 'refresh'>,
  did: string,
): Promise<string | undefined> {
  try {
    return (await identities.refresh(did)).pds;
  } catch (err) {
    if (err instanceof IdentityError && (err.reason === 'tombstoned' || err.reason === 'not-found')) {
      return undefined;
    }
    throw err;
  }
}
