import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';

/** What depends on when and how often something happened, not on what is true. */
const IGNORED: Record<string, string[]> = {
  '*': ['indexedAt'],
  actor: ['handle'],
  notification: ['id'],
  'headwater.departure': ['said_at', 'due', 'tries', 'confirmed_at', 'purged_at'],
  'headwater.repo': [
    ...['fetch_id', 'parts', 'parts_done', 'fresh', 'fetch_commit', 'fetch_data', 'links'],
    ...['gap_at', 'gap_reason', 'asked_at', 'listed_at', 'first_seen', 'updated_at'],
  ],
};
const IGNORED_TABLES = ['headwater.migration', 'headwater.handle_due', 'headwater.refused_record'];

/**
 * The contents of all tables of the schemas `bsky` and `headwater`, each row as
 * one line, sorted: two databases that hold the same give equal dumps.
 */
export async function dumpTables(databaseUrl: string): Promise<Record<string, string[]>> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows: tables } = await client.query<{ schema: string; name: string }>(
      `SELECT schemaname AS schema, tablename AS name FROM pg_tables WHERE schemaname IN ('bsky', 'headwater') ORDER BY 1, 2`,
    );
    const dump: Record<string, string[]> = {};
    for (const { schema, name } of tables) {
      const key = schema === 'bsky' ? name : `${schema}.${name}`;
      if (IGNORED_TABLES.includes(key)) continue;
      const ignored = [...IGNORED['*']!, ...(IGNORED[key] ?? [])];
      const { rows } = await client.query<{ line: string }>(
        `SELECT (to_jsonb(t) - $1::text[])::text AS line FROM ${schema}.${client.escapeIdentifier(name)} t`,
        [ignored],
      );
      dump[key] = rows.map(({ line }) => line).sort();
    }
    return dump;
  } finally {
    await client.end();
  }
}

/** What two dumps differ in, a few rows of each table; empty when they are equal. */
export function diffDumps(wanted: Record<string, string[]>, got: Record<string, string[]>): string[] {
  const differences: string[] = [];
  for (const table of new Set([...Object.keys(wanted), ...Object.keys(got)])) {
    const [left, right] = [new Set(wanted[table]), new Set(got[table])];
    const missing = [...left].filter((line) => !right.has(line));
    const extra = [...right].filter((line) => !left.has(line));
    const sizes = [wanted[table]?.length, got[table]?.length];
    if (missing.length + extra.length === 0 && sizes[0] === sizes[1]) continue;
    differences.push(`${table}: ${sizes[0]} rows wanted, ${sizes[1]} there, ${missing.length} not as wanted`);
    differences.push(...pairs(missing, extra).slice(0, 5));
  }
  return differences;
}

/** Rows of one key side by side, with the columns that differ; the others whole. */
function pairs(missing: string[], extra: string[]): string[] {
  const there = new Map(extra.map((line) => [keyOf(line), line]));
  const lines = missing.map((line) => {
    const other = there.get(keyOf(line));
    if (other === undefined) return `  missing ${line}`;
    there.delete(keyOf(line));
    const [left, right] = [JSON.parse(line), JSON.parse(other)];
    const columns = Object.keys(left).filter((name) => !isDeepStrictEqual(left[name], right[name]));
    const shown = columns.map(
      (name) => `${name} ${JSON.stringify(left[name])} wanted, ${JSON.stringify(right[name])}`,
    );
    return `  ${keyOf(line)}: ${shown.join('; ')}`;
  });
  return [...lines, ...[...there.values()].map((line) => `  extra   ${line}`)];
}

function keyOf(line: string): string {
  const row = JSON.parse(line);
  return String(row.uri ?? row.did ?? line);
}
