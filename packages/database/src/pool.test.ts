import fc from 'fast-check';
import { expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { databasePool } from './index.ts';

const database = useDatabase();
const nasty = fc.constantFrom('', 'NULL', 'null', '"', '\\', '\\"', '{a,b}', ' a ', ',', '\n', '😀');

it('a connection that breaks before anybody listens ends no process', async () => {
  const pool = databasePool({ url: database.url, max: 1, applicationName: 'test' });
  const client = await pool.connect();
  try {
    expect(() => client.emit('error', new Error('terminating connection'))).not.toThrow();
  } finally {
    client.release(true);
    await pool.end();
  }
});

it('lists come to PostgreSQL as they are', async () => {
  const pool = databasePool({ url: database.url, max: 1, applicationName: 'test' });
  try {
    const list = fc.array(fc.option(fc.oneof(nasty, fc.string({ unit: 'grapheme' })), { freq: 9 }));
    const numbers = fc.array(fc.option(fc.double({ noNaN: true })));
    await fc.assert(
      fc.asyncProperty(list, numbers, fc.array(fc.boolean()), async (texts, floats, flags) => {
        const kept = texts.map((text) => text?.replaceAll('\0', '') ?? null);
        const { rows } = await pool.query('SELECT $1::text[] AS a, $2::float8[] AS b, $3::bool[] AS c', [
          kept,
          floats,
          flags,
        ]);
        expect(rows).toEqual([{ a: kept, b: floats.map((n) => (n === null ? n : n + 0)), c: flags }]);
      }),
    );
    const { rows } = await pool.query({ text: 'SELECT $1::text[] AS a', values: [[['x', '"']]] });
    expect(rows).toEqual([{ a: [['x', '"']] }]);
  } finally {
    await pool.end();
  }
});

it('has so many connections and no more, whatever is asked at once', async () => {
  const applicationName = 'test of the budget';
  const pool = databasePool({ url: database.url, max: 3, applicationName });
  try {
    const sql = 'SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1';
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => pool.query<{ n: number }>(sql, [applicationName])),
    );
    expect(Math.max(...answers.map(({ rows }) => rows[0]!.n))).toBe(3);
  } finally {
    await pool.end();
  }
});
