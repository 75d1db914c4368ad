import { statfs } from 'node:fs/promises';
import { type Redis, type RedisHealth, redisHealth } from '@headwater/streams';
import type { Sql } from '../open.ts';

export interface PostgresView {
  version: string;
  bytes: number;
  connections: number;
  maxConnections: number;
  /** Of the longest transaction that is open. */
  oldestTransactionSeconds: number;
  /** Share of block reads that memory answered. */
  hitRatio: number | null;
}

export type RedisView = RedisHealth;

export interface DiskView {
  path: string;
  freeBytes: number;
  totalBytes: number;
}

/** PostgreSQL's size and what is left of its connections. */
export async function postgresView(sql: Sql): Promise<PostgresView> {
  const [row] = await sql<PostgresView[]>`
    SELECT current_setting('server_version') AS version,
      pg_database_size(current_database())::float8 AS bytes,
      (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
      current_setting('max_connections')::int AS "maxConnections",
      (SELECT coalesce(extract(epoch FROM now() - min(xact_start)), 0)::float8 FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS "oldestTransactionSeconds",
      (SELECT blks_hit::float8 / nullif(blks_hit + blks_read, 0) FROM pg_stat_database
        WHERE datname = current_database()) AS "hitRatio"`;
  return row!;
}

/** Redis's memory and whether it keeps what it is given. */
export function redisView(redis: Redis): Promise<RedisView> {
  return redisHealth(redis);
}

/** Room on the disks under these paths; a path that is not there is left out. */
export async function disks(paths: readonly string[]): Promise<DiskView[]> {
  const all = await Promise.all(
    paths.map(async (path): Promise<DiskView[]> => {
      const found = await statfs(path).catch(() => undefined);
      if (found === undefined) return [];
      const { bavail, blocks, bsize } = found;
      return [{ path, freeBytes: bavail * bsize, totalBytes: blocks * bsize }];
    }),
  );
  return all.flat();
}
