import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
import {
  agedHandles,
  databasePool,
  dueHandles,
  type Lent,
  type Pool,
  postponeHandle,
  writeHandle,
} from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 8, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const handles = async () => {
  const { rows } = await pool.query<{ did: string; handle: string | null }>('SELECT did, handle FROM actor');
  return Object.fromEntries(rows.map(({ did, handle }) => [did, handle]));
};

/** What has a row in `actor` already. */
const seen = (...dids: string[]) =>
  pool.query(
    `INSERT INTO actor (did, "indexedAt") SELECT did, '2026-01-01T00:00:00.000Z' FROM unnest($1::text[]) did`,
    [dids],
  );

/** Has an account looked at, as an identity event does. */
async function askFor(did: string): Promise<void> {
  await pool.query(
    `INSERT INTO headwater.handle_due (did, due) VALUES ($1, now()) ON CONFLICT (did) DO UPDATE SET due = now()`,
    [did],
  );
}

/** Begins to look at an account's handle. */
async function look(did: string): Promise<Lent> {
  await askFor(did);
  const due = await dueHandles(pool, 100, 60_000);
  return due.find((one) => one.did === did)!;
}

const found = async (did: string, handle: string | null) => writeHandle(pool, await look(did), handle, null);

it('gives a contended handle to the account that proved it last, and has the one that lost it looked at', async () => {
  await seen('did:plc:a', 'did:plc:b');
  await found('did:plc:a', 'alice.test');
  await found('did:plc:b', 'alice.test');
  expect(await handles()).toEqual({ 'did:plc:a': null, 'did:plc:b': 'alice.test' });
  expect(await dueHandles(pool, 8, 0)).toMatchObject([{ did: 'did:plc:a', refresh: true }]);
  await found('did:plc:b', null);
  expect(await handles()).toEqual({ 'did:plc:a': null, 'did:plc:b': null });
});

it('notes nothing of a look that was overtaken, and keeps what asks for another one', async () => {
  await seen('did:plc:a');
  const slow = await look('did:plc:a');
  // An identity event comes while the old handle is looked at.
  await askFor('did:plc:a');
  expect(await writeHandle(pool, slow, 'old.test', null)).toBe(false);
  await postponeHandle(pool, slow, 60_000);
  const [quick] = await dueHandles(pool, 8, 60_000);
  expect(await writeHandle(pool, quick!, 'new.test', null)).toBe(true);
  // The slow one comes to its end after all of that.
  expect(await writeHandle(pool, slow, null, 60_000)).toBe(false);
  expect(await handles()).toEqual({ 'did:plc:a': 'new.test' });
  expect(await dueHandles(pool, 8, 0)).toEqual([]);
});

it('brings no account back that was deleted while its handle was looked at, and takes the handle from nobody', async () => {
  await seen('did:plc:a');
  await found('did:plc:a', 'alice.test');
  for (const handle of ['alice.test', null]) {
    await writeHandle(pool, await look('did:plc:gone'), handle, 0);
    expect(await handles()).toEqual({ 'did:plc:a': 'alice.test' });
    expect(await dueHandles(pool, 8, 0)).toEqual([]);
  }
});

it('survives accounts that swap and claim handles at the same moment', async () => {
  const dids = ['a', 'b', 'c', 'd'].map((name) => `did:plc:${name}`);
  await seen(...dids);
  for (let round = 0; round < 20; round++) {
    for (const did of dids) await askFor(did);
    const due = await dueHandles(pool, dids.length, 60_000);
    await Promise.all(due.map((lent, i) => writeHandle(pool, lent, `h${(i + round) % 3}.test`, null)));
  }
  const held = Object.values(await handles()).filter((handle) => handle !== null);
  expect(new Set(held).size).toBe(held.length);
  // Whoever has none, because another claimed it or was looked at later, is looked at again.
  const forgotten = `SELECT did FROM actor WHERE handle IS NULL AND did NOT IN (SELECT did FROM headwater.handle_due)`;
  expect((await pool.query(forgotten)).rows).toEqual([]);
});

it('lends what is due to one worker at a time, and forgets or postpones what is answered', async () => {
  await pool.query(
    `INSERT INTO headwater.handle_due (did, due) SELECT 'did:plc:' || n, now() FROM generate_series(1, 20) n`,
  );
  const lent = (await Promise.all([1, 2, 3].map(() => dueHandles(pool, 8, 60_000)))).flat();
  expect(new Set(lent.map(({ did }) => did)).size).toBe(20);
  expect(await dueHandles(pool, 8, 60_000)).toEqual([]);
  await seen('did:plc:1', 'did:plc:2');
  const of = (n: number) => lent.find(({ did }) => did === `did:plc:${n}`)!;
  await writeHandle(pool, of(1), 'one.test', null);
  await writeHandle(pool, of(2), null, 0);
  await postponeHandle(pool, of(3), 0);
  expect((await dueHandles(pool, 8, 0)).sort((a, b) => (a.did < b.did ? -1 : 1))).toMatchObject([
    { did: 'did:plc:2', refresh: false, tries: 1 },
    { did: 'did:plc:3', refresh: false, tries: 1 },
  ]);
});

describe('handles that were verified long ago', () => {
  const day = 86_400_000;
  const aged = (limit: number) => agedHandles(pool, { maxAgeMs: 7 * day, limit, leaseMs: 60_000 });
  /** Accounts n = 1 … count; the handle of n was verified n - ½ days ago. */
  const fill = (count: number) =>
    pool.query(
      `INSERT INTO actor (did, handle, "indexedAt")
       SELECT 'did:plc:' || n, 'h' || n || '.test',
         to_char(now() AT TIME ZONE 'UTC' - n * interval '1 day' + interval '12 hours', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
       FROM generate_series(1, $1::int) n`,
      [count],
    );
  const names = (due: { did: string }[]) => due.map(({ did }) => did.slice('did:plc:'.length)).sort();

  it('are lent to one worker, the oldest first', async () => {
    await fill(12);
    expect(names(await aged(2))).toEqual(['11', '12']);
    const both = await Promise.all([aged(2), aged(10)]);
    expect(names(both.flat())).toEqual(['10', '8', '9']);
    expect(await aged(10)).toEqual([]);
    const lent = await pool.query('SELECT refresh, tries, due > now() AS later FROM headwater.handle_due');
    expect(new Set(lent.rows.map((row) => JSON.stringify(row)))).toEqual(
      new Set([JSON.stringify({ refresh: true, tries: 0, later: true })]),
    );
  });

  it('are not lent where they are due anyway, and hold up nobody where nobody answers for them', async () => {
    await fill(9);
    await pool.query(`UPDATE actor SET handle = NULL WHERE did = 'did:plc:9'`);
    await pool.query(
      `INSERT INTO headwater.handle_due (did, due) VALUES ('did:plc:8', now() + interval '1 hour')`,
    );
    expect(await aged(1)).toEqual([]);
    await pool.query(`UPDATE headwater.handle_due SET due = now() + interval '1 day'`);
    expect(await aged(1)).toEqual([]);
  });

  it('are found by an index', async () => {
    await fill(20_000);
    await pool.query('ANALYZE actor');
    const { rows } = await pool.query(
      `EXPLAIN SELECT did FROM actor WHERE handle IS NOT NULL AND "indexedAt" < '2026' ORDER BY "indexedAt" LIMIT 10`,
    );
    expect(rows.map((row) => row['QUERY PLAN']).join('\n')).toContain('actor_handle_age_idx');
  });
});
