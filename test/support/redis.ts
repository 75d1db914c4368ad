import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisServer, startRedisServer } from '@headwater/local';
import { connect, ofEachMaster, type Redis } from '@headwater/streams';
import { afterAll, beforeAll } from 'vitest';

export type TestRedis = RedisServer;

/** As it is now: while a network starts (packages/local) TMPDIR names a folder that is removed at the end of that. */
const TEMPORARY = tmpdir();

export interface TestRedisOptions {
  /** Keep data across `kill` and `restart`. */
  aof?: boolean;
  /** Wanted port. */
  port?: number;
  /** In bytes, of each node. */
  maxMemory?: number;
  /** Further arguments of redis-server. */
  args?: string[];
}

/** Whether the tests of this run have a Redis Cluster where they ask for a Redis (`pnpm test:cluster`). */
export const onCluster = process.env['TEST_REDIS'] === 'cluster';

/**
 * A Redis of the test's own (7.0 or newer, from PATH) on free ports of
 * 127.0.0.1, in temporary folders that `stop` removes: one server, or
 * with TEST_REDIS=cluster a cluster of three.
 */
export async function startRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  if (!onCluster) return startSingleRedis(options);
  const { startRedisCluster } = await import('./redis-cluster.ts');
  return startRedisCluster(options);
}

/** One server, whatever the run is on. */
export async function startSingleRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const folder = await mkdtemp(join(TEMPORARY, 'headwater-redis-'));
  const server = await startRedisServer({ ...options, folder });
  const stop = async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  // Not a spread: the getters are to show the process after a restart.
  return Object.defineProperties(Object.create(server), {
    stop: { value: stop },
    [Symbol.asyncDispose]: { value: stop },
  });
}

/**
 * A Redis of the test file's own, and a client of it.
 * Its fields may be read from the first hook on.
 */
export function useRedis(options?: TestRedisOptions): { readonly server: TestRedis; readonly redis: Redis } {
  const used = {} as { server: TestRedis; redis: Redis };
  beforeAll(async () => {
    used.server = await startRedis(options);
    used.redis = connect(used.server.url, { name: 'test' });
  });
  afterAll(async () => {
    used.redis?.disconnect();
    await used.server?.stop();
  });
  return used;
}

/** A key of the contract as it is called here: on a cluster a stream's name stands in braces in the keys beside it. */
export function keyOf(plain: string): string {
  if (!onCluster) return plain;
  return plain.replace(
    /^(repo_backfill|firehose_live|firehose_backfill|label_live):(?!host:|parked|failing)/,
    '{$1}:',
  );
}

/** Empties it: every master of a cluster. */
export async function empty(redis: Redis): Promise<void> {
  await ofEachMaster(redis, (node) => node.flushall());
}

/** KEYS, of every master of a cluster. */
export async function keysLike(redis: Redis, pattern: string): Promise<string[]> {
  return (await ofEachMaster(redis, (node) => node.keys(pattern))).flat();
}

/** CONFIG SET, on every master of a cluster. */
export async function configure(redis: Redis, name: string, value: string): Promise<void> {
  await ofEachMaster(redis, (node) => node.config('SET', name, value));
}
