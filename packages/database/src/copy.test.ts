import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { copyInto, type Row } from './copy.ts';
import { CopyData } from './copy-data.ts';

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
      await copyInto(client, { table: 't', columns: ['n', 'text', 'flag', 'doc'], rows: written });
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
  const data = new CopyData();
  data.add([['', null, '\\N', true, 7]]);
  data.end();
  const [type, length] = ['d', '\0\0\0\x10'];
  expect(String(Buffer.concat(data.parts))).toBe(`${type}${length}\t\\N\t\\\\N\tt\t7\nc\0\0\0\x04`);
});

const into = (table: string, columns: string[], rows: Row[]) => ({ table, columns, rows });

it('leaves the connection usable after a row that PostgreSQL refuses', async () => {
  const [good, bad] = [into('t', ['n'], [[1]]), into('t', ['n'], [['x']])];
  const nowhere = into('nowhere', ['n'], [[1]]);
  await expect(copyInto(client, bad)).rejects.toThrow(/integer/);
  await expect(copyInto(client, nowhere)).rejects.toThrow(/nowhere/);
  await client.query('TRUNCATE t');
  await expect(copyInto(client, good, bad, good)).rejects.toThrow(/integer/);
  await expect(copyInto(client, nowhere, good)).rejects.toThrow(/nowhere/);
  await copyInto(client, into('t', ['n'], []));
  expect((await client.query('SELECT 1 AS one FROM t')).rows).toEqual([]);
  await copyInto(client, good, into('t', ['n'], []), good);
  expect((await client.query('SELECT n FROM t')).rows).toEqual([{ n: 1 }, { n: 1 }]);
});

it('writes more than one chunk, and more than one in a value', async () => {
  await client.query('TRUNCATE t');
  const long = (n: number) => 'é'.repeat(n % 10 === 0 ? 100_000 : 10_000 - n);
  const rows = Array.from({ length: 200 }, (_, n): Row => [n, long(n)]);
  await copyInto(client, into('t', ['n', 'text'], rows));
  const { rows: read } = await client.query('SELECT n, "text" FROM t ORDER BY n');
  expect(read).toEqual(rows.map(([n, text]) => ({ n, text })));
});

it('gives back texts of every length around the end of a chunk', async () => {
  await client.query('TRUNCATE t');
  const lengths = Array.from({ length: 120 }, (_, n) => 65_536 - 60 + n);
  const copies = lengths.map((length, n) => into('t', ['n', 'text'], [[n, 'x'.repeat(length)]]));
  await copyInto(client, ...copies);
  const { rows } = await client.query('SELECT length("text") AS length FROM t ORDER BY n');
  expect(rows).toEqual(lengths.map((length) => ({ length })));
});

it('fails when the connection is lost', async () => {
  const lost = new pg.Client({ connectionString: database.url });
  lost.on('error', () => undefined);
  await lost.connect();
  const { rows } = await lost.query('SELECT pg_backend_pid() AS pid');
  await lost.query('BEGIN');
  await lost.query('LOCK TABLE t');
  await client.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
  await expect(copyInto(lost, into('t', ['n'], [[1]]))).rejects.toThrow();
  await lost.end().catch(() => undefined);
});
