import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OfficialIndexer } from '../../../test/reference/official.ts';
import { createDatabase, type TestDatabase, useDatabase } from '../../../test/support/index.ts';

const ours = useDatabase();
let theirs: TestDatabase;

beforeAll(async () => {
  theirs = await createDatabase('template0');
  await using _official = await OfficialIndexer.create(theirs.url, 'bsky');
});
afterAll(() => theirs.drop());

/** Every way in which our schema is meant to differ from the one that the AppView makes for itself. */
const meant = [
  // A repo's rows are one range of the key, in the order of its tree.
  `- column record.uri: character varying NOT NULL`,
  `+ column record.uri: character varying COLLATE C NOT NULL`,
  // The version rule; with a default, so that the AppView's own writes still work.
  `+ column record.rev: character varying COLLATE C NOT NULL DEFAULT ''::character varying`,
  // A gate that comes after the replies under it finds them.
  `+ index CREATE INDEX post_reply_root_idx ON bsky.post USING btree ("replyRoot", "sortAt") WHERE ("replyRoot" IS NOT NULL)`,
  // Handles are looked at again by age.
  `+ index CREATE INDEX actor_handle_age_idx ON bsky.actor USING btree ("indexedAt") WHERE (handle IS NOT NULL)`,
];

it('has every table, column, key, index and view of the AppView, but for what is named here', async () => {
  const [a, b] = [await describeSchema(theirs.url), await describeSchema(ours.url)];
  const differences = [
    ...[...a].filter((line) => !b.has(line)).map((line) => `- ${line}`),
    ...[...b].filter((line) => !a.has(line)).map((line) => `+ ${line}`),
  ];
  expect(differences.sort()).toEqual([...meant].sort());
  const tables = [...a].filter((line) => line.startsWith('table '));
  expect(tables).toHaveLength(56);
  expect([...a].filter((line) => line.startsWith('view '))).toHaveLength(1);
});

it('looks migrated to the AppView, so that its own migrations do nothing', async () => {
  const names = (url: string) => select(url, 'SELECT name AS line FROM bsky.kysely_migration ORDER BY 1');
  expect(await names(ours.url)).toEqual(await names(theirs.url));
  await using official = await OfficialIndexer.create(ours.url, 'bsky');
  expect(official.refused).toEqual([]);
});

const descriptions = [
  `SELECT format('table %s', relname) AS line FROM pg_class WHERE relkind = 'r' AND relnamespace = 'bsky'::regnamespace`,
  `SELECT format('view %s: %s', relname, pg_get_viewdef(oid)) AS line FROM pg_class
   WHERE relkind IN ('m', 'v') AND relnamespace = 'bsky'::regnamespace`,
  `SELECT format('column %s.%s: %s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
     CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || l.collname ELSE '' END,
     CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
     CASE WHEN a.attgenerated <> '' THEN ' GENERATED AS ' || pg_get_expr(d.adbin, d.adrelid)
       WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END) AS line
   FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
   LEFT JOIN pg_collation l ON l.oid = a.attcollation
   LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
   WHERE c.relnamespace = 'bsky'::regnamespace AND c.relkind IN ('r', 'm') AND a.attnum > 0 AND NOT a.attisdropped`,
  `SELECT format('constraint %s on %s: %s', k.conname, c.relname, pg_get_constraintdef(k.oid)) AS line
   FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
   WHERE c.relnamespace = 'bsky'::regnamespace AND k.contype <> 'n'`,
  `SELECT format('index %s', pg_get_indexdef(i.indexrelid)) AS line
   FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE c.relnamespace = 'bsky'::regnamespace`,
  `SELECT format('extension %s in %s', extname, extnamespace::regnamespace) AS line FROM pg_extension`,
];

async function describeSchema(url: string): Promise<Set<string>> {
  const parts = await Promise.all(descriptions.map((sql) => select(url, sql)));
  return new Set(parts.flat());
}

async function select(url: string, sql: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url, options: '-c search_path=bsky,public' });
  await client.connect();
  try {
    return (await client.query<{ line: string }>(sql)).rows.map((row) => row.line);
  } finally {
    await client.end();
  }
}
