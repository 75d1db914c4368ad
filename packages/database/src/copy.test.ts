import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { copyInto } from './copy.ts';
import { CopyData } from './copy-data.ts';
import { cellOf, type PackedRow, type Row, RowPacker } from './packed-rows.ts';
import { columnsOf, type PackedTable } from './tables.ts';

const database = useDatabase('template0');
let client: pg.Client;

beforeAll(async () => {
  client = new pg.Client({ connectionString: database.url });
  await client.connect();
  // As they are, but for what PostgreSQL would check.
  for (const table of ['post', 'record'] as const) {
    const { columns, jsonb = [] } = columnsOf(table);
    const types = columns.map((c) => `"${c}" ${jsonb.includes(c) ? 'jsonb' : 'text COLLATE "C"'}`);
    await client.query(`CREATE TABLE ${table} (${types})`);
  }
});
afterAll(() => client.end());

/** Rows of a table, with values in these columns and NULL in the others. */
function into(table: PackedTable, columns: readonly string[], rows: readonly Row[]): PackedRow[] {
  const packer = new RowPacker();
  const all = columnsOf(table).columns;
  const whole = (row: Row) => all.map((c) => (columns.includes(c) ? row[columns.indexOf(c)]! : null));
  return rows.map((row) => packer.pack(table, whole(row)));
}

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
      await client.query('TRUNCATE post, record');
      const doc = (s: string | null) => (s === null ? null : JSON.stringify({ s: kept(s) }));
      const written = values.map(([s, d], n): Row => [nth(n), s, doc(d)]);
      await copyInto(client, into('post', ['uri', 'text', 'tags'], written));
      const { rows: read } = await client.query(
        'SELECT uri AS n, "text", tags AS doc FROM post ORDER BY uri',
      );
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

it('says what is in a cell as PostgreSQL will', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.option(text), fc.option(text)), { minLength: 1 }), (values) => {
      const rows = into(
        'post',
        ['text', 'uri', 'tags'],
        values.map(([s, d]) => [s, d, s]),
      );
      for (const [n, [s, d]] of values.entries()) {
        const cells = ['uri', 'text', 'tags', 'langs'].map((column) => cellOf(rows[n]!, column));
        const of = (value: string | null) => value && kept(value);
        expect(cells).toEqual([of(d), of(s), of(s), null]);
      }
    }),
  );
  expect(() => cellOf(into('record', [], [[]])[0]!, 'text')).toThrow(/record have no text/);
});

it('writes the format as it is specified, with lengths in bytes', () => {
  const json = { bytes: Buffer.from('..{"é":1}'), start: 2, end: 10 };
  const data = new CopyData();
  data.add(into('record', ['uri', 'did', 'rev', 'json'], [['', '\0é', 'x', json]]));
  data.add(into('post', ['tags'], [['[]']]));
  data.end();
  const hex = (text: string) => Buffer.from(text.replaceAll(/[ |]/g, ''), 'hex');
  const record = hex('0006 | 00000000 | ffffffff | 00000002 c3a9 | ffffffff | 00000001 78 | 00000008');
  const post = [hex('000c'), ...Array(11).fill(hex('ffffffff')), hex('00000003 01 5b5d')];
  const all = [Buffer.concat([record, Buffer.from('{"é":1}')]), Buffer.concat(post)].flatMap(message);
  expect(Buffer.concat(data.parts)).toEqual(Buffer.concat(all));
});

/** All of one COPY. */
function message(row: Buffer): Buffer[] {
  const head = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
  const rows = Buffer.concat([head, row, Buffer.from('ffff', 'hex')]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(rows.length + 4);
  return [Buffer.from('d'), length, rows, Buffer.from('6300000004', 'hex')];
}

it('gives back bytes as they are, at whatever place in a row', async () => {
  await client.query('TRUNCATE post, record');
  const texts = ['{}', '"é😀"', 'x'.repeat(70_000)];
  const all = Buffer.from(texts.join(''));
  const bytes = texts.map((text, i) => {
    const start = Buffer.byteLength(texts.slice(0, i).join(''));
    return { bytes: all, start, end: start + Buffer.byteLength(text) };
  });
  const rows = bytes.map((json, n): Row => [nth(n), json, json]);
  await copyInto(client, into('post', ['uri', 'text', 'replyRoot'], rows.slice(0, 1)));
  await copyInto(client, into('post', ['uri', 'text', 'replyRoot'], rows.slice(1)));
  const { rows: read } = await client.query('SELECT "text", "replyRoot" AS root FROM post ORDER BY uri');
  expect(read).toEqual(texts.map((text) => ({ text, root: text })));
});

it('leaves the connection usable after a row that PostgreSQL refuses', async () => {
  const [good, bad] = [into('post', ['uri'], [['1']]), into('post', ['tags'], [['x']])];
  const nowhere = into('quote', ['uri'], [['1']]);
  await expect(copyInto(client, bad)).rejects.toThrow(/type json/);
  await expect(copyInto(client, nowhere)).rejects.toThrow(/quote/);
  await client.query('TRUNCATE post, record');
  await expect(copyInto(client, good, bad, good)).rejects.toThrow(/type json/);
  await expect(copyInto(client, nowhere, good)).rejects.toThrow(/quote/);
  await copyInto(client, into('post', ['uri'], []));
  expect((await client.query('SELECT 1 AS one FROM post')).rows).toEqual([]);
  await copyInto(client, good, into('post', ['uri'], []), good);
  expect((await client.query('SELECT uri FROM post')).rows).toEqual([{ uri: '1' }, { uri: '1' }]);
});

it('writes more than one chunk, and more than one in a value', async () => {
  await client.query('TRUNCATE post, record');
  const long = (n: number) => 'é'.repeat(n % 10 === 0 ? 100_000 : 10_000 - n);
  const rows = Array.from({ length: 200 }, (_, n): Row => [nth(n), long(n)]);
  await copyInto(client, into('post', ['uri', 'text'], rows));
  const { rows: read } = await client.query('SELECT uri AS n, "text" FROM post ORDER BY uri');
  expect(read).toEqual(rows.map(([n, text]) => ({ n, text })));
});

it('sends those rows that it is given, in their order, whether they stand together or not', async () => {
  const lengths = [1, 10, 100, 1000, 9000, 20_000];
  const rows = Array.from({ length: 300 }, (_, n): Row => [nth(n), 'x'.repeat(lengths[n % 7] ?? 0)]);
  const packed = into('post', ['uri', 'text'], rows);
  const some = fc.shuffledSubarray([...rows.keys()], { minLength: 1 });
  const together = fc
    .tuple(fc.nat(299), fc.nat(300))
    .map(([from, n]) => [...rows.keys()].slice(from, from + n + 1));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(some, together), { minLength: 1, maxLength: 4 }), async (lists) => {
      await client.query('TRUNCATE post, record');
      const order = lists.flat();
      await copyInto(
        client,
        order.map((n) => packed[n]!),
      );
      const { rows: read } = await client.query('SELECT uri AS n, "text" FROM post ORDER BY ctid');
      expect(read).toEqual(order.map((n) => ({ n: rows[n]![0], text: rows[n]![1] })));
    }),
    { numRuns: 30 },
  );
});

it('gives back texts of every length around the end of a chunk', async () => {
  await client.query('TRUNCATE post, record');
  const lengths = Array.from({ length: 120 }, (_, n) => 65_536 - 60 + n);
  const copies = lengths.map((length, n) => into('post', ['uri', 'text'], [[nth(n), 'x'.repeat(length)]]));
  await copyInto(client, ...copies);
  const { rows } = await client.query('SELECT length("text") AS length FROM post ORDER BY uri');
  expect(rows).toEqual(lengths.map((length) => ({ length })));
});

it('fails when the connection is lost', async () => {
  const lost = new pg.Client({ connectionString: database.url });
  lost.on('error', () => undefined);
  await lost.connect();
  const { rows } = await lost.query('SELECT pg_backend_pid() AS pid');
  await lost.query('BEGIN');
  await lost.query('LOCK TABLE post');
  await client.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
  await expect(copyInto(lost, into('post', ['uri'], [['1']]))).rejects.toThrow();
  await lost.end().catch(() => undefined);
});
