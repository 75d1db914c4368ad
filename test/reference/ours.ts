import {
  type ApplyOptions,
  applyEvents,
  beginFetch,
  confirmDeparture,
  databasePool,
  dueDepartures,
  dueHandles,
  isTransient,
  type Pool,
  purgeRepo,
  writeHandle,
} from '@headwater/database';
import type { StreamEvent } from '@headwater/events';
import type { Random, Snapshot } from './network/index.ts';
import { handleOf } from './official.ts';

export interface ApplyEntriesOptions extends ApplyOptions {
  /** How many write at once, each taking the next batch; 1 unless told. */
  writers?: number;
}

/**
 * Applies stream entries with our writer, as the indexer does, in batches of random sizes.
 *
 * @returns how many entries were written without reading
 */
export async function applyEntries(
  pool: Pool,
  entries: readonly StreamEvent[][],
  random: Random,
  { writers = 1, ...options }: ApplyEntriesOptions = {},
): Promise<{ direct: number }> {
  let next = 0;
  let direct = 0;
  const write = async () => {
    while (next < entries.length) {
      const size = 1 + random.below(random.chance(0.2) ? 200 : 20);
      const batch = entries.slice(next, next + size);
      next += size;
      direct += await applyBatch(pool, batch, { backfillNotifications: true, ...options });
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  return { direct };
}

/** What PostgreSQL ended to untangle locks is tried again, as the indexer does. */
async function applyBatch(pool: Pool, batch: StreamEvent[][], options: ApplyOptions): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      return (await applyEvents(pool, batch, options)).direct;
    } catch (err) {
      if (!isTransient(err) || attempt === 10) throw err;
    }
  }
}

/** Raises each snapshot's repo to its rev, as the backfiller does before it sends a part. @returns the fetches' names */
export async function beginFetches(pool: Pool, snapshots: readonly Snapshot[]): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  for (const { did, rev } of snapshots) {
    const fetch = `fetch ${did} ${rev}`;
    await beginFetch(pool, { did, rev, fetch });
    names.set(did, fetch);
  }
  return names;
}

/** Verifies handles and lets those go who are said to be deleted, as the indexer's other lanes do. */
export async function settleAccounts(pool: Pool, dids: readonly string[], now: number): Promise<void> {
  for (const due of await dueHandles(pool, 100_000, 60_000)) {
    await writeHandle(pool, due, handleOf(due.did), null);
  }
  for (const { did } of await dueDepartures(pool, dids.length, 60_000)) {
    await confirmDeparture(pool, did);
    await purgeRepo(pool, did, { now, pieceSize: 7 });
  }
}

export function openPool(url: string): Pool {
  return databasePool({ url, max: 6, applicationName: 'differential' });
}
