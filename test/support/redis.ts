import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisServer, startRedisServer } from '@headwater/local';

export type TestRedis = RedisServer;

/**
 * A Redis of the test's own (7.0 or newer, from PATH) on a free port of
 * 127.0.0.1, in a temporary folder that `stop` removes.
 *
 * @param options `aof`: keep data across `kill` and `restart`; `port`: wanted
 *   port; `maxMemory` in bytes; `args`: further arguments of redis-server.
 */
export async function startRedis(
  options: { aof?: boolean; port?: number; maxMemory?: number; args?: string[] } = {},
): Promise<TestRedis> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-redis-'));
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
