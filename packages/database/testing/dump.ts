import type { Pool } from '../src/index.ts';
import type { Tables } from './model.ts';

const subject = (table: string, column: string) =>
  `SELECT uri, cid, creator, "${column}" AS subject, "createdAt" FROM "${table}"`;

const queries: Record<string, string> = {
  record: 'SELECT uri, cid, did, json::json FROM record',
  post: 'SELECT uri, cid, creator, text, "replyParent" FROM post',
  like: subject('like', 'subject'),
  repost: subject('repost', 'subject'),
  follow: subject('follow', 'subjectDid'),
  actor_block: subject('actor_block', 'subjectDid'),
  profile: 'SELECT uri, cid, creator, "displayName" FROM profile',
  feed_item: 'SELECT uri, cid, type, "postUri", "originatorDid" FROM feed_item',
  duplicate_record: 'SELECT uri, cid, "duplicateOf" FROM duplicate_record',
  post_agg: `SELECT uri, "likeCount"::int, "repostCount"::int, "replyCount"::int, "quoteCount"::int FROM post_agg
    WHERE "likeCount" <> 0 OR "repostCount" <> 0 OR "replyCount" <> 0 OR "quoteCount" <> 0`,
  profile_agg: `SELECT did, "postsCount"::int, "followsCount"::int, "followersCount"::int FROM profile_agg
    WHERE "postsCount" <> 0 OR "followsCount" <> 0 OR "followersCount" <> 0`,
};

/** The tables that the model knows, in the model's terms. */
export async function dump(pool: Pool): Promise<Tables> {
  const tables: Tables = {};
  for (const [table, sql] of Object.entries(queries)) tables[table] = (await pool.query(sql)).rows;
  return tables;
}

/** One line a row, sorted: what differs is seen at a glance. */
export function lines(tables: Tables): string[] {
  return Object.entries(tables)
    .flatMap(([table, rows]) => rows.map((row) => `${table} ${JSON.stringify(sorted(row))}`))
    .sort();
}

/** Rows that only one of two has: `-` the first, `+` the second. */
export function differences(a: Tables, b: Tables): string[] {
  const [left, right] = [lines(a), lines(b)];
  const [inLeft, inRight] = [new Set(left), new Set(right)];
  return [
    ...left.filter((line) => !inRight.has(line)).map((line) => `- ${line}`),
    ...right.filter((line) => !inLeft.has(line)).map((line) => `+ ${line}`),
    ...(left.length === right.length ? [] : [`${left.length} rows and ${right.length}`]),
  ];
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([k, v]) => [k, sorted(v)]));
}

/** Every table of both schemas with every column, but for clocks: to compare two ways of writing the same. */
export async function dumpAll(pool: Pool): Promise<Tables> {
  const { rows: names } = await pool.query<{ schema: string; name: string }>(
    `SELECT schemaname AS schema, tablename AS name FROM pg_tables
     WHERE schemaname IN ('bsky', 'headwater') AND tablename NOT LIKE '%migration%' ORDER BY 1, 2`,
  );
  const clocks = ['first_seen', 'updated_at', 'due', 'fresh', 'id'];
  const tables: Tables = {};
  for (const { schema, name } of names) {
    const { rows } = await pool.query(`SELECT * FROM ${schema}."${name}"`);
    for (const row of rows) {
      for (const clock of clocks) delete row[clock];
      if (name === 'actor') delete row['indexedAt'];
    }
    tables[`${schema}.${name}`] = rows;
  }
  return tables;
}

/** Empties every table but those of migrations. */
export async function truncateAll(pool: Pool): Promise<void> {
  const { rows } = await pool.query<{ list: string }>(
    `SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') AS list FROM pg_tables
     WHERE schemaname IN ('bsky', 'headwater') AND tablename NOT LIKE '%migration%' AND tablename NOT IN ('view_param', 'bulk')`,
  );
  await pool.query(`TRUNCATE ${rows[0]!.list}`);
}
