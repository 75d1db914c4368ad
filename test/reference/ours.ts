import { type ApplyOptions, applyEvents, beginFetch, databasePool, type Pool } from '@headwater/database';
import type { StreamEvent } from '@headwater/events';
import type { Random, Snapshot } from './network/index.ts';

/**
 * Applies stream entries with our writer, as the indexer does, in batches of random sizes.
 *
 * @returns how many entries were written without reading
 */
export async function applyEntries(
  pool: Pool,
  entries: readonly StreamEvent[][],
  random: Random,
  options: ApplyOptions = {},
): Promise<{ direct: number }> {
  let direct = 0;
  for (let i = 0; i < entries.length; ) {
    const size = 1 + random.below(random.chance(0.2) ? 200 : 20);
    const batch = entries.slice(i, i + size);
    const result = await applyEvents(pool, batch, { backfillNotifications: true, ...options });
    direct += result.direct;
    i += size;
  }
  return { direct };
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

export function openPool(url: string): Pool {
  return databasePool({ url, max: 4, applicationName: 'differential' });
}
