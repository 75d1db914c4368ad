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
  await client.query('CREATE TABLE t (n text COLLATE "C", "text" text, doc jsonb)');
});
afterAll(() => client.end());

/** A number that is sorted as a text. */
const nth = (n: number) => String(n).padStart(6, '0');

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
  const rows = fc.array(fc.tuple(fc.option(text), fc.option(text)), {
    minLength: 1,
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(rows, async (values) => {
      await client.query('TRUNCATE t');
      const doc = (s: string | null) => (s === null ? null : JSON.stringify({ s: kept(s) }));
      const written = values.map(([s, d], n): Row => [nth(n), s, doc(d)]);
      await copyInto(client, { table: 't', columns: ['n', 'text', 'doc'], jsonb: ['doc'], rows: written });
      const { rows: read } = await client.query('SELECT * FROM t ORDER BY n');
      const wanted = values.map(([s, d], n) => ({
        n: nth(n),
        text: s === null ? null : kept(s),
        doc: d === null ? null : { s: kept(d) },
      }));
      expect(read).toEqual(wanted);
    }),
    { numRuns: 100 },
  );
});

it('writes the format as it is specified, with lengths in bytes', () => {
  const json = { bytes: Buffer.from('..{"é":1}'), start: 2, end: 10 };
  const data = new CopyData();
  data.add([['', null, json, '\0é', '[]']], [false, false, false, false, true]);
  data.end();
  const hex = (text: string) => Buffer.from(text.replaceAll(/[ |]/g, ''), 'hex');
  const row = [
    hex('0005 | 00000000 | ffffffff | 00000008'),
    Buffer.from('{"é":1}'),
    hex('00000002 c3a9 | 00000003 01 5b5d'),
  ];
  const head = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
  const rows = Buffer.concat([head, ...row, hex('ffff')]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(rows.length + 4);
  const all = Buffer.concat([Buffer.from('d'), length, rows, hex('63 00000004')]);
  expect(Buffer.concat(data.parts)).toEqual(all);
});

it('gives back bytes as they are, at whatever place in a row', async () => {
  await client.query('TRUNCATE t');
  const texts = ['{}', '"é😀"', 'x'.repeat(70_000)];
  const all = Buffer.from(texts.join(''));
  const bytes = texts.map((text, i) => {
    const start = Buffer.byteLength(texts.slice(0, i).join(''));
    return { bytes: all, start, end: start + Buffer.byteLength(text) };
  });
  const rows = bytes.flatMap((json, n): Row[] => [
    [nth(2 * n), json],
    [json, nth(2 * n + 1)],
  ]);
  await copyInto(client, into('t', ['n', 'text'], rows.slice(0, 1)));
  await copyInto(client, into('t', ['n', 'text'], rows.filter((_, i) => i % 2 === 0).slice(1)));
  await copyInto(
    client,
    into(
      't',
      ['text', 'n'],
      rows.filter((_, i) => i % 2 === 1),
    ),
  );
  const { rows: read } = await client.query('SELECT "text" FROM t ORDER BY n');
  expect(read.map(({ text }) => text)).toEqual(texts.flatMap((text) => [text, text]));
});

const into = (table: string, columns: string[], rows: Row[]) => ({ table, columns, rows });

it('leaves the connection usable after a row that PostgreSQL refuses', async () => {
  const [good, bad] = [into('t', ['n'], [['1']]), into('t', ['doc'], [['x']])];
  const nowhere = into('nowhere', ['n'], [['1']]);
  await expect(copyInto(client, bad)).rejects.toThrow(/jsonb/);
  await expect(copyInto(client, nowhere)).rejects.toThrow(/nowhere/);
  await client.query('TRUNCATE t');
  await expect(copyInto(client, good, bad, good)).rejects.toThrow(/jsonb/);
  await expect(copyInto(client, nowhere, good)).rejects.toThrow(/nowhere/);
  await copyInto(client, into('t', ['n'], []));
  expect((await client.query('SELECT 1 AS one FROM t')).rows).toEqual([]);
  await copyInto(client, good, into('t', ['n'], []), good);
  expect((await client.query('SELECT n FROM t')).rows).toEqual([{ n: '1' }, { n: '1' }]);
});

it('writes more than one chunk, and more than one in a value', async () => {
  await client.query('TRUNCATE t');
  const long = (n: number) => 'é'.repeat(n % 10 === 0 ? 100_000 : 10_000 - n);
  const rows = Array.from({ length: 200 }, (_, n): Row => [nth(n), long(n)]);
  await copyInto(client, into('t', ['n', 'text'], rows));
  const { rows: read } = await client.query('SELECT n, "text" FROM t ORDER BY n');
  expect(read).toEqual(rows.map(([n, text]) => ({ n, text })));
});

it('gives back texts of every length around the end of a chunk', async () => {
  await client.query('TRUNCATE t');
  const lengths = Array.from({ length: 120 }, (_, n) => 65_536 - 60 + n);
  const copies = lengths.map((length, n) => into('t', ['n', 'text'], [[nth(n), 'x'.repeat(length)]]));
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
  await expect(copyInto(lost, into('t', ['n'], [['1']]))).rejects.toThrow();
  await lost.end().catch(() => undefined);
});
