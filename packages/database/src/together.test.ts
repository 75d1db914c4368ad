import { expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { databasePool, inTransaction, type Pool } from './index.ts';
import type { Client } from './pool.ts';
import { together } from './together.ts';

const database = useDatabase();

async function withPool(work: (pool: Pool) => Promise<void>): Promise<void> {
  const pool = databasePool({ url: database.url, max: 1, applicationName: 'test' });
  try {
    await pool.query('CREATE TABLE IF NOT EXISTS public.t (n int PRIMARY KEY)');
    await pool.query('TRUNCATE public.t');
    await work(pool);
  } finally {
    await pool.end();
  }
}

const put = (client: Client, n: number) =>
  client.query({ name: 'put', text: 'INSERT INTO public.t VALUES ($1)', values: [n] });
const numbers = async (pool: Pool) =>
  (await pool.query<{ n: number }>('SELECT n FROM public.t ORDER BY n')).rows.map(({ n }) => n);

it('answers come in the order of what was issued, and each statement sees those before it', () =>
  withPool(async (pool) => {
    const counts = await inTransaction(pool, async (client) => {
      const count = () =>
        client.query<{ n: number }>('SELECT count(*)::int AS n FROM public.t').then(({ rows }) => rows[0]!.n);
      const [none, , one, , two] = await together(count(), put(client, 1), count(), put(client, 2), count());
      return [none, one, two];
    });
    expect(counts).toEqual([0, 1, 2]);
  }));

it('throws what failed first, waits for the rest, and leaves nothing', () =>
  withPool(async (pool) => {
    await pool.query('INSERT INTO public.t VALUES (2)');
    const ends: string[] = [];
    const failing = inTransaction(pool, (client) => {
      // What fails first is heard of last: it is awaited through more promises than the others.
      const deep = async () => {
        const inner = async () => await put(client, 2);
        return await inner().then((answer) => answer);
      };
      const slow = async () => {
        await put(client, 3).catch(() => undefined);
        await put(client, 4).catch(() => undefined);
        ends.push('slow');
      };
      return together(put(client, 1), slow(), deep(), put(client, 5), client.query('SELECT 1'));
    });
    await expect(failing).rejects.toMatchObject({ code: '23505' });
    expect(ends).toEqual(['slow']);
    expect(await numbers(pool)).toEqual([2]);
    await inTransaction(pool, (client) => put(client, 6));
    expect(await numbers(pool)).toEqual([2, 6]);
  }));

it('a name that was never prepared, since what came before failed, is not what is reported, and can be used later', () =>
  withPool(async (pool) => {
    const one = (client: Client) =>
      client.query({ name: 'one', text: 'SELECT $1::int AS n', values: [1] }).then(({ rows }) => rows);
    const failing = inTransaction(pool, (client) =>
      together(one(client), client.query('SELECT 1 / 0'), put(client, 1), put(client, 1)),
    );
    await expect(failing).rejects.toMatchObject({ code: '22012' });
    expect(await inTransaction(pool, one)).toEqual([{ n: 1 }]);
    await inTransaction(pool, (client) => put(client, 1));
    expect(await numbers(pool)).toEqual([1]);
  }));

it('what failed in one savepoint is undone alone', () =>
  withPool(async (pool) => {
    await inTransaction(pool, async (client) => {
      for (const n of [1, 2, 3]) {
        await client.query('SAVEPOINT op');
        try {
          await together(put(client, n), put(client, n === 2 ? 1 : n + 10), put(client, n + 20));
          await client.query('RELEASE op');
        } catch (err) {
          expect(err).toMatchObject({ code: '23505' });
          await client.query('ROLLBACK TO op');
        }
      }
    });
    expect(await numbers(pool)).toEqual([1, 3, 11, 13, 21, 23]);
  }));

it('a connection that is lost ends all that was under way', () =>
  withPool(async (pool) => {
    const failing = inTransaction(pool, (client) =>
      together(put(client, 1), client.query('SELECT pg_terminate_backend(pg_backend_pid())'), put(client, 2)),
    );
    await expect(failing).rejects.toMatchObject({ name: 'TransientError' });
    expect(await numbers(pool)).toEqual([]);
  }));
