import { keysOf, readCursor } from '@headwater/streams';
import type { Redis } from 'ioredis';
import type postgres from 'postgres';

/** Where the pipeline stands. */
export interface State {
  /** Repos that PostgreSQL knows, by state (`complete`, `fetching`, …). */
  repos: Map<string, number>;
  records: number;
  /** Entries that wait in each stream. */
  waiting: { repos: number; backfill: number; live: number };
  dead: number;
  /** The enumeration has reached its end. */
  listed: boolean;
}

export const ENUMERATED = '!ingester-done';
const STREAMS = ['repo_backfill', 'repo_backfill:urgent', 'firehose_backfill', 'firehose_live'];

/**
 * Reads the state. Counts rows exactly: callers wait longer between two looks
 * the longer one takes.
 *
 * @param host the relay, as in the cursor's key
 */
export async function readState(
  redis: Redis,
  sql: postgres.Sql,
  schema: string,
  host: string,
): Promise<State> {
  const lengths = Promise.all(STREAMS.map((stream) => waitingIn(redis, stream)));
  const dead = Promise.all(
    ['repo_backfill', 'firehose_backfill', 'firehose_live', 'label_live'].map((stream) =>
      redis.xlen(keysOf(redis, stream).dead),
    ),
  );
  const states = sql<
    { state: string; count: number }[]
  >`SELECT state, count(*)::int AS count FROM headwater.repo GROUP BY state`;
  const records = sql<{ count: number }[]>`SELECT count(*)::int AS count FROM ${sql(schema)}.record`;
  const [jobs, urgent, backfill, live] = (await lengths) as [number, number, number, number];
  return {
    repos: new Map((await states).map(({ state, count }) => [state, count])),
    records: (await records)[0]!.count,
    waiting: { repos: jobs + urgent, backfill, live },
    dead: (await dead).reduce((sum, n) => sum + n, 0),
    listed: (await readCursor(redis, 'repo_backfill', host)) === ENUMERATED,
  };
}

/**
 * Entries of a stream and those parked beside it. An entry goes from one to the
 * other and back only after seconds: looking at the parked ones before and
 * after the stream misses none.
 */
async function waitingIn(redis: Redis, stream: string): Promise<number> {
  const keys = keysOf(redis, stream);
  const [before, length, after] = [
    await redis.zcard(keys.later),
    await redis.xlen(keys.stream),
    await redis.zcard(keys.later),
  ];
  return length + Math.max(before, after);
}

/** Sum over some states of repos, or all. */
export function reposIn(state: State, ...names: string[]): number {
  let sum = 0;
  for (const [name, count] of state.repos) if (names.length === 0 || names.includes(name)) sum += count;
  return sum;
}

/** Nothing of a backfill is under way. */
export function isBackfilled(state: State): boolean {
  return state.listed && state.waiting.repos === 0 && state.waiting.backfill === 0;
}
