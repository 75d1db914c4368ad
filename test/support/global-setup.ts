/**
 * What all test files of a run share. Nothing is started before a file asks for
 * it (`control.ts`), so a run of unit tests alone costs no server.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type PostgresServer, startPostgresServer } from '@headwater/local';
import type { TestProject } from 'vitest/node';
import { applyMigrations } from './migrations.ts';

/** Nothing of a test cluster has to survive a power cut. */
const SETTINGS = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: 300,
  shared_buffers: '128MB',
  max_wal_size: '2GB',
  log_checkpoints: 'off',
  log_min_messages: 'log',
};

export interface SharedPostgres {
  /** URL of the maintenance database. */
  url: string;
  /** Database with all migrations applied, to clone from. */
  template: string;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-test-'));
  await chmod(folder, 0o755);
  let server: Promise<{ postgres: PostgresServer; shared: SharedPostgres }> | undefined;
  const http = createServer((_request, response) => {
    // A connection that is kept is closed some day, and a file that was busy just then asks on it and fails.
    response.setHeader('connection', 'close');
    server ??= startShared(folder);
    answer(
      response,
      server.then(({ shared }) => shared),
    );
  });
  project.provide('control', await listen(http));
  return async () => {
    http.closeAllConnections();
    http.close();
    const started = await server?.catch(() => undefined);
    await started?.postgres.stop();
    if (started !== undefined) await rm(started.postgres.folder, { recursive: true, force: true });
    await rm(folder, { recursive: true, force: true });
  };
}

async function startShared(folder: string) {
  const postgres = await startPostgresServer({
    folder: join(folder, 'postgres'),
    database: 'template_headwater',
    settings: SETTINGS,
  });
  await applyMigrations(postgres.url);
  return { postgres, shared: { url: postgres.urlOf('postgres'), template: 'template_headwater' } };
}

function answer(response: ServerResponse, result: Promise<unknown>): void {
  result.then(
    (value) => response.end(JSON.stringify(value)),
    (error) => response.writeHead(500).end(`${error?.stack ?? error}`),
  );
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
    });
  });
}
