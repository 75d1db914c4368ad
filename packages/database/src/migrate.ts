import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { assertSchemaName, type Client } from './pool.ts';

/** The database was migrated with other files than these: nothing is done. */
export class MigrationMismatchError extends Error {
  override name = 'MigrationMismatchError';
  migration: string;
  constructor(migration: string, message: string) {
    super(`${migration}: ${message}`);
    this.migration = migration;
  }
}

export interface MigrateOptions {
  /** Schema of the AppView's tables. One a database: schema `headwater` belongs to it. */
  schema?: string;
}

interface Migration {
  name: string;
  sql: string;
  checksum: string;
}

const folder = new URL('../migrations/', import.meta.url);

/** Names the advisory lock that lets one runner at a time in. */
const lockKey = 0x6865_6164;

/**
 * Brings a database to the newest schema; safe when started twice at once, and when there is nothing to do.
 *
 * @param target URL of the database, or a connection that no transaction is open on
 * @returns the names of the migrations applied now
 * @throws MigrationMismatchError when an applied file has changed, is missing, or another schema was chosen before
 */
export async function migrate(target: string | Client, options: MigrateOptions = {}): Promise<string[]> {
  if (typeof target !== 'string') return run(target, options.schema ?? 'bsky');
  const client = new pg.Client({ connectionString: target, application_name: 'headwater migrate' });
  await client.connect();
  try {
    return await run(client, options.schema ?? 'bsky');
  } finally {
    await client.end();
  }
}

/**
 * Which of our migrations the database lacks. Empty when it is ready to be written to.
 *
 * @throws as migrate
 */
export async function pendingMigrations(client: Pick<Client, 'query'>, schema = 'bsky'): Promise<string[]> {
  const { rows } = await client.query<{ there: boolean }>(
    `SELECT to_regclass('headwater.migration') IS NOT NULL AS there`,
  );
  const migrations = await readMigrations();
  if (!rows[0]!.there) return migrations.map((m) => m.name);
  return (await missing(client, migrations, schema)).map((m) => m.name);
}

async function run(client: Client, schema: string): Promise<string[]> {
  assertSchemaName(schema);
  await client.query('SELECT pg_advisory_lock($1)', [lockKey]);
  try {
    await client.query(`
      CREATE SCHEMA IF NOT EXISTS headwater;
      CREATE SCHEMA IF NOT EXISTS ${schema};
      CREATE TABLE IF NOT EXISTS headwater.migration (
        name text PRIMARY KEY,
        checksum text NOT NULL,
        schema text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
      )`);
    const todo = await missing(client, await readMigrations(), schema);
    for (const migration of todo) await apply(client, migration, schema);
    return todo.map((m) => m.name);
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [lockKey]);
  }
}

async function apply(client: Client, { name, sql, checksum }: Migration, schema: string): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(`SET LOCAL search_path TO ${schema}, public`);
    await client.query(sql);
    await client.query('INSERT INTO headwater.migration (name, checksum, schema) VALUES ($1, $2, $3)', [
      name,
      checksum,
      schema,
    ]);
    await client.query('COMMIT');
  } catch (err) {
    await client.query('ROLLBACK');
    throw err;
  }
}

async function missing(
  client: Pick<Client, 'query'>,
  migrations: Migration[],
  schema: string,
): Promise<Migration[]> {
  const { rows } = await client.query<{ name: string; checksum: string; schema: string }>(
    'SELECT name, checksum, schema FROM headwater.migration ORDER BY name',
  );
  const known = new Map(migrations.map((m) => [m.name, m]));
  for (const row of rows) {
    const migration = known.get(row.name);
    if (!migration) throw new MigrationMismatchError(row.name, 'was applied by a newer version of Headwater');
    if (migration.checksum !== row.checksum) {
      throw new MigrationMismatchError(row.name, 'the file has changed since it was applied');
    }
    if (row.schema !== schema) {
      throw new MigrationMismatchError(row.name, `was applied to schema ${row.schema}, not ${schema}`);
    }
  }
  const applied = new Set(rows.map((row) => row.name));
  return migrations.filter((m) => !applied.has(m.name));
}

async function readMigrations(): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  return Promise.all(
    files.map(async (file) => {
      const sql = await readFile(new URL(file, folder), 'utf8');
      return { name: file.slice(0, -4), sql, checksum: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}
