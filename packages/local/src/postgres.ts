import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { onFreePort } from './ports.ts';
import { binariesFor, identityFor, type RunAs } from './postgres-binaries.ts';
import { waitForPrevious } from './previous.ts';
import { type Child, type ChildOptions, ProcessError, spawnChild } from './process.ts';

export { PostgresError } from './postgres-binaries.ts';

export interface PostgresOptions {
  /** Holds the cluster in `data/`, its password and log settings; made if missing. */
  folder: string;
  /** Wanted port; another free one is taken if it is in use. */
  port?: number;
  /** Server settings, as `{ fsync: 'off' }`. */
  settings?: Record<string, string | number>;
  /** Database that is made on the first start. Default `headwater`. */
  database?: string;
}

export interface PostgresServer extends AsyncDisposable {
  /** postgres://postgres:…@127.0.0.1:PORT/DATABASE */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly exited: Promise<unknown>;
  /** Where the data really is: not below `options.folder` where its user may not enter that. */
  readonly folder: string;
  /** URL of another database of the same cluster. */
  urlOf(database: string): string;
  /** Fast shutdown: sessions are ended, data is on disk. */
  stop(): Promise<void>;
  /** SIGKILL of the postmaster, as a crash. */
  kill(): Promise<void>;
  restart(): Promise<void>;
}

/**
 * Starts the embedded PostgreSQL 17 on 127.0.0.1, and makes its cluster on the first start.
 * Root is not allowed to run PostgreSQL: then it runs as the owner of the cluster,
 * as `postgres`, or as `nobody`, and folders that these may not enter are avoided.
 *
 * @throws PostgresError when the machine can't run it, ProcessError when it does not come up.
 */
export async function startPostgresServer(options: PostgresOptions): Promise<PostgresServer> {
  await mkdir(options.folder, { recursive: true });
  const runAs = await identityFor(options.folder);
  const native = await binariesFor(runAs);
  if (!existsSync(join(runAs.folder, 'password'))) await initialise(native, runAs);
  const password = (await readFile(join(runAs.folder, 'password'), 'utf8')).trim();
  await waitForPrevious(join(runAs.folder, 'data/postmaster.pid'), 'postgres');
  const started = await onFreePort(options.port, async (port) => ({
    port,
    child: await launch(native, port, options, runAs),
  }));
  const { port } = started;
  let { child } = started;
  const database = options.database ?? 'headwater';
  const urlOf = (name: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${name}`;
  await ensureDatabase(urlOf, database);
  return {
    url: urlOf(database),
    port,
    folder: runAs.folder,
    urlOf,
    get pid() {
      return child.pid;
    },
    get exited() {
      return child.exited;
    },
    stop: () => child.stop('SIGINT'),
    kill: () => child.stop('SIGKILL'),
    restart: async () => {
      await child.stop('SIGINT');
      child = await launch(native, port, options, runAs);
    },
    [Symbol.asyncDispose]: () => child.stop('SIGINT'),
  };
}

// The password file comes last: an initdb that was interrupted leaves no cluster behind it.
async function initialise(native: string, runAs: RunAs): Promise<void> {
  const data = join(runAs.folder, 'data');
  const passwordFile = join(runAs.folder, 'password');
  await rm(data, { recursive: true, force: true });
  await writeFile(`${passwordFile}.new`, randomBytes(12).toString('hex'), { mode: 0o600 });
  await runAs.own(`${passwordFile}.new`);
  const args = [
    '--pgdata',
    data,
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${passwordFile}.new`,
  ];
  args.push(
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--no-sync',
  );
  const child = spawnChild(join(native, 'bin/initdb'), args, asUser(runAs));
  const { code, error } = await child.exited;
  if (code !== 0)
    throw new ProcessError(`initdb failed\n${child.output}`, 'initdb', child.output, { cause: error });
  await rename(`${passwordFile}.new`, passwordFile);
}

async function launch(native: string, port: number, options: PostgresOptions, runAs: RunAs): Promise<Child> {
  const settings = { listen_addresses: '127.0.0.1', port, unix_socket_directories: '', ...options.settings };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const child = spawnChild(
    join(native, 'bin/postgres'),
    ['-D', join(runAs.folder, 'data'), ...flags],
    asUser(runAs),
  );
  await child.waitForLine((line) => line.includes('database system is ready to accept connections'));
  return child;
}

function asUser(runAs: RunAs): ChildOptions {
  const env = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
  return { uid: runAs.uid, gid: runAs.gid, cwd: runAs.folder, env, deathSignal: 'SIGINT' };
}

async function ensureDatabase(urlOf: (name: string) => string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: urlOf('postgres') });
  await client.connect();
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
  } finally {
    await client.end();
  }
}
