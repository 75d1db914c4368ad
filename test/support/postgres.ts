import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { control } from './control.ts';
import type { SharedPostgres } from './global-setup.ts';

/** How long a test file's last connections may take to close after its end: a killed process's last statement ends first. */
const GRACE_MS = 15_000;

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
  /** Drops it. @throws when connections to it stay open for `graceMs`: a leak of the test or of the code under it. */
  drop(graceMs?: number): Promise<void>;
}

/** The run's one PostgreSQL: embedded, started when the first file asks for it. */
export function startPostgres(): Promise<SharedPostgres> {
  return control<SharedPostgres>('/postgres');
}

/**
 * A new database for one test file, cloned from `template`: by default the one
 * with our migrations applied, `template0` for an empty one.
 */
export async function createDatabase(template?: string): Promise<TestDatabase> {
  const shared = await startPostgres();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await onServer(shared.url, (client) =>
    client.query(`CREATE DATABASE ${name} TEMPLATE ${client.escapeIdentifier(template ?? shared.template)}`),
  );
  const url = new URL(shared.url);
  url.pathname = `/${name}`;
  const drop = (graceMs = GRACE_MS) => onServer(shared.url, (client) => dropChecked(client, name, graceMs));
  return { url: url.href, name, drop, [Symbol.asyncDispose]: () => drop() };
}

/**
 * The same for a whole file or `describe`: makes the database before its tests, drops it after.
 * Its fields may be read from the first hook on.
 */
export function useDatabase(template?: string): Pick<TestDatabase, 'url' | 'name'> {
  let database: TestDatabase | undefined;
  beforeAll(async () => {
    database = await createDatabase(template);
  });
  afterAll(() => database?.drop());
  return {
    get url() {
      return database!.url;
    },
    get name() {
      return database!.name;
    },
  };
}

async function onServer<T>(url: string, run: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await run(client);
  } finally {
    await client.end();
  }
}

async function dropChecked(client: pg.Client, name: string, graceMs: number): Promise<void> {
  const left = await sessionsAfter(graceMs, client, name);
  await client.query(`DROP DATABASE IF EXISTS ${client.escapeIdentifier(name)} WITH (FORCE)`);
  if (left.length > 0) throw new Error(`${left.length} connections leaked:\n${left.join('\n')}`);
}

async function sessionsAfter(graceMs: number, client: pg.Client, name: string): Promise<string[]> {
  const end = Date.now() + graceMs;
  for (;;) {
    const { rows } = await client.query(
      `SELECT format('%s %s: %s', application_name, state, left(query, 200)) AS line
       FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'`,
      [name],
    );
    if (rows.length === 0 || Date.now() > end) return rows.map((row) => row.line);
    await client.query('SELECT pg_sleep(0.05)');
  }
}
