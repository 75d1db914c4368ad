/** Where PostgreSQL's time goes, by statement (pg_stat_statements). */
import { onDatabase } from './database.ts';

interface Line {
  query: string;
  calls: string;
  ms: number;
  rows: string;
  wal: number;
}

const slowest = `
  SELECT regexp_replace(query, '\\s+', ' ', 'g') AS query, sum(calls) AS calls, sum(total_exec_time) AS ms,
    sum(rows) AS rows, sum(wal_bytes)::float8 / 1e6 AS wal
  FROM pg_stat_statements JOIN pg_database ON dbid = pg_database.oid
  WHERE datname <> 'postgres' GROUP BY 1 ORDER BY ms DESC`;
const SHOWN = 45;

/**
 * Begins to count.
 *
 * @param url of a database of the server's that no bench uses
 * @returns what says, as lines, what took how long since then
 */
export async function statementsOf(url: string): Promise<(records: number) => Promise<string[]>> {
  await onDatabase(url, async (client) => {
    await client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements');
    await client.query('SELECT pg_stat_statements_reset()');
  });
  return async (records) => {
    const { rows } = await onDatabase(url, (client) => client.query<Line>(slowest));
    const total = rows.reduce((sum, { ms }) => sum + ms, 0);
    const head = `${total.toFixed(0)} ms in statements, ${((total / records) * 1000).toFixed(1)} µs a record`;
    return [head, ...rows.slice(0, SHOWN).map((row) => lineOf(row, total, records))];
  };
}

function lineOf({ query, calls, ms, rows, wal }: Line, total: number, records: number): string {
  const cells = [
    `${((ms / total) * 100).toFixed(1)} %`.padStart(7),
    `${((ms / records) * 1000).toFixed(2)} µs`.padStart(9),
    `${calls} calls`.padStart(11),
    `${rows} rows`.padStart(13),
    `${wal.toFixed(1)} MB WAL`.padStart(12),
  ];
  return `${cells.join(' ')}  ${query.slice(0, 90)}`;
}
