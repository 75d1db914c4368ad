import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PostgresServer, startPostgresServer } from '../postgres.ts';
import { type RedisServer, startRedisServer } from '../redis.ts';

/** PostgreSQL and Redis of one run: private ones on `folder`, or those that the environment names. */
export interface Servers {
  databaseUrl: string;
  redisUrl: string;
  postgres?: PostgresServer;
  redis?: RedisServer;
  stop(): Promise<void>;
}

/** Sized for one machine that does other work too. The data is meant to last: fsync stays on. */
const POSTGRES = {
  shared_buffers: '256MB',
  max_connections: 100,
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  wal_compression: 'on',
  maintenance_work_mem: '128MB',
};

/** Below it producers wait (INGESTER_HIGH_WATER_MARK), above it Redis refuses. */
const REDIS_BYTES = 2 * 2 ** 30;

export async function startServers(folder: string): Promise<Servers> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'ports.json');
  const wanted = savedPorts(file);
  const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env;
  const [postgres, redis] = await settled([
    databaseUrl
      ? undefined
      : startPostgresServer({ folder: join(folder, 'postgres'), port: wanted.postgres, settings: POSTGRES }),
    redisUrl
      ? undefined
      : startRedisServer({
          folder: join(folder, 'redis'),
          port: wanted.redis,
          aof: true,
          maxMemory: REDIS_BYTES,
        }),
  ]);
  writeFileSync(file, JSON.stringify({ postgres: postgres?.port, redis: redis?.port }));
  return {
    databaseUrl: databaseUrl || postgres!.url,
    redisUrl: redisUrl || redis!.url,
    ...(postgres === undefined ? {} : { postgres }),
    ...(redis === undefined ? {} : { redis }),
    stop: async () => {
      await redis?.stop();
      await postgres?.stop();
    },
  };
}

/** Both or none: what started is stopped again when the other fails. */
async function settled(
  starts: [Promise<PostgresServer> | undefined, Promise<RedisServer> | undefined],
): Promise<[PostgresServer | undefined, RedisServer | undefined]> {
  const results = await Promise.allSettled(starts);
  const failed = results.find((result) => result.status === 'rejected');
  if (failed === undefined) return Promise.all(starts);
  for (const result of results) if (result.status === 'fulfilled') await result.value?.stop();
  throw failed.reason;
}

function savedPorts(file: string): { postgres?: number; redis?: number } {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}
