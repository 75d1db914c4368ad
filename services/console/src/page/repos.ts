import { keysOf, type Redis } from '@headwater/streams';
import type { Sql } from '../open.ts';

export interface RepoCounts {
  /** When they were counted: with millions of repos that is not done at every look. */
  countedAt: string;
  total: number;
  byState: Record<string, number>;
  /** Repos of which a commit is missing. */
  gaps: number;
}

export interface Listing {
  host: string;
  state: 'not begun' | 'listing' | 'done';
  cursor: string | null;
  /** Ranges that had to be left out. */
  skipped: number;
}

/** The cursor of a listing that has come to its end (docs/contracts.md). */
const done = '!ingester-done';

/** Repos by state. */
export async function repoCounts(sql: Sql): Promise<RepoCounts> {
  const rows = await sql<{ state: string; n: number; gaps: number }[]>`
    SELECT state, count(*)::float8 AS n, count(gap_at)::float8 AS gaps FROM headwater.repo GROUP BY state`;
  return {
    countedAt: new Date().toISOString(),
    total: rows.reduce((sum, { n }) => sum + n, 0),
    byState: Object.fromEntries(rows.map(({ state, n }) => [state, n])),
    gaps: rows.reduce((sum, { gaps }) => sum + gaps, 0),
  };
}

/** How far each relay's list is read. */
export function listings(redis: Redis, relays: readonly string[]): Promise<Listing[]> {
  const keys = keysOf(redis, 'repo_backfill');
  return Promise.all(
    relays.map(async (host): Promise<Listing> => {
      const [cursor, skipped] = await Promise.all([
        redis.get(keys.cursor(host)),
        redis.llen(keys.beside('skipped', host)),
      ]);
      const state = cursor === null ? 'not begun' : cursor === done ? 'done' : 'listing';
      return { host, state, cursor, skipped };
    }),
  );
}
