import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { copyInto, encodeRow, type Row } from './copy.ts';

const database = useDatabase('template0');
let client: pg.Client;

beforeAll(async () => {
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query('CREATE TABLE t (n int, "text" text, flag boolean, doc jsonb)');
});
afterAll(() => client.end());

/** What PostgreSQL can keep of a text. */
const kept = (s: string) => s.replaceAll('\0', '').toWellFormed();

const nasty = fc.constantFrom(
  '',
  '\\',
  '\\N',
  '\\.',
  '\n\\.\n',
  'a\tb',
  'a\rb',
  'a\r\nb',
  '\0',
  'a\0b',
  '\\0',
  '\\x41',
  '\\101',
  'NULL',
  '"',
  "'",
  '\ud800',
  'x\udfffy',
  '😀',
  '\u2028',
  '\ufeff',
  '\u007f\u0001\b\v\f',
);
const text = fc.oneof(
  nasty,
  fc.string({ unit: 'binary' }),
  fc.array(nasty, { maxLength: 4 }).map((a) => a.join('')),
);

it('gives back every text as it was, but for NUL and lone surrogates', async () => {
  const rows = fc.array(fc.tuple(fc.option(text), fc.option(fc.boolean()), fc.option(text)), {
    minLength: 1,
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(rows, async (values) => {
      await client.query('TRUNCATE t');
      const doc = (s: string | null) => (s === null ? null : JSON.stringify({ s: kept(s) }));
      const written = values.map(([s, flag, d], n): Row => [n, s, flag, doc(d)]);
      await copyInto(client, 't', ['n', 'text', 'flag', 'doc'], written);
      const { rows: read } = await client.query('SELECT * FROM t ORDER BY n');
      const wanted = values.map(([s, flag, d], n) => ({
        n,
        text: s === null ? null : kept(s),
        flag,
        doc: d === null ? null : { s: kept(d) },
      }));
      expect(read).toEqual(wanted);
    }),
    { numRuns: 100 },
  );
});

it('tells an empty text, NULL and a backslash-N apart', () => {
  expect(encodeRow(['', null, '\\N', true, 7])).toBe('\t\\N\t\\\\N\tt\t7\n');
});

it('leaves the connection usable after a row that PostgreSQL refuses', async () => {
  await expect(copyInto(client, 't', ['n'], [['x']])).rejects.toThrow(/integer/);
  await expect(copyInto(client, 'nowhere', ['n'], [[1]])).rejects.toThrow(/nowhere/);
  await copyInto(client, 't', ['n'], []);
  expect((await client.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }]);
});

it('writes more than one chunk', async () => {
  await client.query('TRUNCATE t');
  const long = 'é'.repeat(10_000);
  await copyInto(
    client,
    't',
    ['n', 'text'],
    Array.from({ length: 200 }, (_, n) => [n, long]),
  );
  const { rows } = await client.query('SELECT count(*)::int AS n, min(length("text")) AS length FROM t');
  expect(rows).toEqual([{ n: 200, length: 10_000 }]);
});

it('fails when the connection is lost', async () => {
  const lost = new pg.Client({ connectionString: database.url });
  lost.on('error', () => undefined);
  await lost.connect();
  const { rows } = await lost.query('SELECT pg_backend_pid() AS pid');
  await lost.query('BEGIN');
  await lost.query('LOCK TABLE t');
  await client.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
  await expect(copyInto(lost, 't', ['n'], [[1]])).rejects.toThrow();
  await lost.end().catch(() => undefined);
});
