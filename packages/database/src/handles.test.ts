import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
import { databasePool, dueHandles, type Pool, postponeHandle, writeHandle } from './index.ts';

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

it('gives a contended handle to the account that proved it last', async () => {
  await writeHandle(pool, 'did:plc:a', 'alice.test', null);
  await writeHandle(pool, 'did:plc:b', 'alice.test', null);
  expect(await handles()).toEqual({ 'did:plc:a': null, 'did:plc:b': 'alice.test' });
  await writeHandle(pool, 'did:plc:b', null, null);
  expect(await handles()).toEqual({ 'did:plc:a': null, 'did:plc:b': null });
});

it('survives accounts that swap and claim handles at the same moment', async () => {
  const dids = ['a', 'b', 'c', 'd'].map((name) => `did:plc:${name}`);
  for (let round = 0; round < 20; round++) {
    await Promise.all(dids.map((did, i) => writeHandle(pool, did, `h${(i + round) % 3}.test`, null)));
  }
  const held = Object.values(await handles()).filter((handle) => handle !== null);
  expect(new Set(held).size).toBe(held.length);
  expect(held.length).toBeGreaterThanOrEqual(3);
});

it('lends what is due to one worker at a time, and forgets or postpones what is answered', async () => {
  await pool.query(
    `INSERT INTO headwater.handle_due (did, due) SELECT 'did:plc:' || n, now() FROM generate_series(1, 20) n`,
  );
  const lent = (await Promise.all([1, 2, 3].map(() => dueHandles(pool, 8, 60_000)))).flat();
  expect(new Set(lent.map(({ did }) => did)).size).toBe(20);
  expect(await dueHandles(pool, 8, 60_000)).toEqual([]);
  await writeHandle(pool, 'did:plc:1', 'one.test', null);
  await writeHandle(pool, 'did:plc:2', null, 0);
  await postponeHandle(pool, 'did:plc:3', 0);
  expect((await dueHandles(pool, 8, 0)).sort((a, b) => (a.did < b.did ? -1 : 1))).toEqual([
    { did: 'did:plc:2', refresh: false, tries: 1 },
    { did: 'did:plc:3', refresh: false, tries: 1 },
  ]);
});
