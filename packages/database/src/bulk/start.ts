import { type Client, inTransaction, isTransient, type Pool, sqlState } from '../pool.ts';
import { countTables } from '../recount.ts';
import { deferredIndexes } from './deferred.ts';
import { BulkError } from './error.ts';
import type { BulkState } from './state.ts';

/** Writers that meet the locks of the indexes' tables in a circle end one of the two. */
const tries = 5;

/**
 * Turns bulk mode on: drops the indexes that wait for the end, and has writers leave counts alone. One transaction:
 * it is on or off, whatever happens.
 *
 * @returns names of the indexes that were dropped
 * @throws BulkError when it is on already, or when repos were loaded before
 */
export async function startBulk(pool: Pool): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(pool, start);
    } catch (err) {
      const state = sqlState((err as Error).cause);
      const met = isTransient(err) && (state === '40P01' || state === '55P03');
      if (!met || attempt === tries) throw err;
    }
  }
}

interface Index {
  name: string;
  schema: string;
  table: string;
  definition: string;
}

async function start(client: Client): Promise<string[]> {
  const indexes = await present(client);
  // First the tables, then the state: who holds the state has all tables that it needs.
  await client.query(`SET LOCAL lock_timeout = '10s'`);
  const tables = [...new Set(indexes.map(({ schema, table }) => `${schema}."${table}"`))];
  if (tables.length > 0) await client.query(`LOCK TABLE ${tables.join(', ')} IN ACCESS EXCLUSIVE MODE`);
  await refuseUnlessOff(client);
  await refuseUnlessEmpty(client);
  await client.query('DELETE FROM headwater.bulk_step');
  for (const { name, schema, table, definition } of indexes) {
    await client.query(`DROP INDEX ${schema}."${name}"`);
    await note(client, name, 'index', table, definition);
  }
  for (const table of countTables) await note(client, table, 'counts', table, null);
  await client.query(
    `UPDATE headwater.bulk SET state = 'loading', started_at = now(), finishing_at = NULL, finished_at = NULL`,
  );
  return indexes.map(({ name }) => name);
}

async function present(client: Client): Promise<Index[]> {
  const { rows } = await client.query<Index>(
    `SELECT indexname AS name, schemaname AS schema, tablename AS table, indexdef AS definition
     FROM pg_indexes WHERE schemaname = current_schema() AND indexname = ANY($1) ORDER BY 1`,
    [deferredIndexes],
  );
  return rows;
}

async function refuseUnlessOff(client: Client): Promise<void> {
  const { rows } = await client.query<{ state: BulkState }>('SELECT state FROM headwater.bulk FOR UPDATE');
  const state = rows[0]?.state ?? 'off';
  if (state === 'off') return;
  throw new BulkError(`bulk mode is on already (${state}): \`headwater bulk finish\` ends it`);
}

/** What the live stream has brought is no hindrance. */
async function refuseUnlessEmpty(client: Client): Promise<void> {
  const { rows } = await client.query<{ did: string }>(
    `SELECT did FROM headwater.repo WHERE state IN ('sent', 'complete') LIMIT 1`,
  );
  if (rows.length === 0) return;
  throw new BulkError(
    `the database is not empty: ${rows[0]!.did} is loaded. Bulk mode is for the first load; later it would take the AppView's indexes away for nothing`,
  );
}

async function note(
  client: Client,
  name: string,
  kind: 'index' | 'counts',
  of: string,
  definition: string | null,
): Promise<void> {
  await client.query('INSERT INTO headwater.bulk_step (name, kind, of, definition) VALUES ($1, $2, $3, $4)', [
    name,
    kind,
    of,
    definition,
  ]);
}
