import { MigrationMismatchError, pendingMigrations } from '@headwater/database/migrate';
import { bulkSentence, bulkView } from '../bulk.ts';
import type { ConsoleSettings, Sql } from '../open.ts';
import { postgresView } from '../page/storage.ts';
import { size } from '../table.ts';
import { clockFinding } from './clock.ts';
import { error, type Finding, messageOf, ok, warning } from './finding.ts';

/** Share of max_connections above which the next service that starts may find none. */
const busyShare = 0.9;

/** Version, schema, connections and clock of a PostgreSQL that answers. */
export async function postgresFindings(
  sql: Sql,
  { databaseSchema }: ConsoleSettings,
  now: () => number,
): Promise<Finding[]> {
  const before = now();
  const [row] = await sql<{ number: number; time: number; sync: string }[]>`
    SELECT current_setting('server_version_num')::int AS number,
      extract(epoch FROM clock_timestamp())::float8 * 1000 AS time,
      current_setting('synchronous_commit') AS sync`;
  const { number, time, sync } = row!;
  const off = time - (before + now()) / 2;
  return [
    versionFinding(number),
    ...(await schemaFindings(sql, databaseSchema)),
    await connectionFinding(sql),
    sync === 'off'
      ? error(
          'PostgreSQL durability',
          'synchronous_commit is off',
          'Set it to on: entries are acknowledged in Redis when PostgreSQL says that they are committed.',
        )
      : ok('PostgreSQL durability', `synchronous_commit is ${sync}`),
    clockFinding('PostgreSQL', off),
  ];
}

function versionFinding(number: number): Finding {
  const version = `PostgreSQL ${Math.floor(number / 10_000)}.${number % 10_000}`;
  if (number >= 150_000) return ok('PostgreSQL version', version);
  return error('PostgreSQL version', version, 'Upgrade to PostgreSQL 15 or newer.');
}

async function schemaFindings(sql: Sql, schema: string): Promise<Finding[]> {
  const query = async (text: string, values: unknown[] = []) => ({
    rows: await sql.unsafe(text, values as never[]),
  });
  try {
    const missing = await pendingMigrations({ query } as never, schema);
    if (missing.length === 0)
      return [ok('schema', `schema ${schema} is up to date`), ...(await bulkFindings(sql))];
    const what = `${missing.length} migrations are missing, the first is ${missing[0]}`;
    return [error('schema', what, 'Run `headwater migrate`; the services wait for it.')];
  } catch (err) {
    if (!(err instanceof MigrationMismatchError)) throw err;
    const fix =
      'Run the version of Headwater that the database was migrated with, or look at DATABASE_SCHEMA.';
    return [error('schema', messageOf(err), fix)];
  }
}

/** Whoever forgets it has an AppView that reads without indexes, and counts that stand still. */
async function bulkFindings(sql: Sql): Promise<Finding[]> {
  const said = bulkSentence(await bulkView(sql));
  if (said === undefined) return [];
  const fix = 'When the backfill is done run `headwater bulk finish`; run it again if it was ended.';
  return [warning('bulk mode', said, fix)];
}

async function connectionFinding(sql: Sql): Promise<Finding> {
  const { connections, maxConnections, bytes } = await postgresView(sql);
  const what = `${connections} of ${maxConnections} connections in use, ${size(bytes)} of data`;
  if (connections < busyShare * maxConnections) return ok('PostgreSQL connections', what);
  return warning(
    'PostgreSQL connections',
    what,
    'Raise max_connections, or run fewer copies of the services.',
  );
}
