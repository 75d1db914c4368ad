/** A PostgreSQL of the bench's own, as durable as in production: deploy/postgres/postgresql.conf in small. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '@headwater/database';
import { startPostgresServer } from '@headwater/local';
import pg from 'pg';
import { cpuSecondsOfTree } from './machine.ts';

const SETTINGS = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  wal_level: 'replica',
  shared_buffers: '1GB',
  effective_cache_size: '3GB',
  maintenance_work_mem: '256MB',
  work_mem: '16MB',
  wal_buffers: '64MB',
  max_wal_size: '8GB',
  min_wal_size: '1GB',
  checkpoint_timeout: '15min',
  random_page_cost: 1.1,
  autovacuum_vacuum_cost_limit: 2000,
  jit: 'off',
  max_connections: 100,
};

const TEMPLATE = 'bench_template';

export interface BenchPostgres extends AsyncDisposable {
  readonly version: string;
  /** Folder that the server may write to. */
  readonly folder: string;
  urlOf(database: string): string;
  /** Makes `name` as a copy of another database, by default of one with our migrations only; replaces an older one. */
  create(name: string, template?: string): Promise<string>;
  /** Flushes what earlier turns have left to be written, so that no other turn pays for it. */
  settle(): Promise<void>;
  /** CPU that the server and all its sessions have used, in seconds. */
  cpuSeconds(): number;
}

/** @param settings on top of those of production, as for a profile */
export async function startBenchPostgres(settings: Record<string, string> = {}): Promise<BenchPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-bench-'));
  const server = await startPostgresServer({
    folder,
    database: TEMPLATE,
    settings: { ...SETTINGS, ...settings },
  });
  await migrate(server.url);
  const admin = new pg.Client({ connectionString: server.urlOf('postgres') });
  await admin.connect();
  const { rows } = await admin.query<{ server_version: string }>('SHOW server_version');
  return {
    version: rows[0]!.server_version,
    folder: join(server.folder, 'data'),
    urlOf: server.urlOf,
    async create(name, template = TEMPLATE) {
      await admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await admin.query(`CREATE DATABASE ${name} TEMPLATE ${template}`);
      return server.urlOf(name);
    },
    async settle() {
      await admin.query('CHECKPOINT');
    },
    cpuSeconds: () => cpuSecondsOfTree(server.pid),
    async [Symbol.asyncDispose]() {
      await admin.end();
      await server.stop();
      await rm(server.folder, { recursive: true, force: true });
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Runs `work` on a connection of its own. */
export async function onDatabase<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
