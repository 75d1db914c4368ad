import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { differences, dump, truncateAll } from '../testing/dump.ts';
import { Random } from '../testing/random.ts';
import { didOf, makeRepo } from '../testing/world.ts';
import { applyEvents, databasePool, type Pool } from './index.ts';
import { compareCounts, countKeys, repairCounts, type WrongCount } from './recount.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 3, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

async function wrongCounts(options = {}): Promise<WrongCount[]> {
  const wrong: WrongCount[] = [];
  for await (const { table, keys } of countKeys(pool, { batch: 7, ...options })) {
    wrong.push(...(await compareCounts(pool, table, keys)));
  }
  return wrong;
}

async function fill(seed: number): Promise<void> {
  for (let i = 1; i <= 6; i++) await applyEvents(pool, makeRepo(new Random(seed + i), didOf(i), 80).commits);
}

it('finds nothing wrong in what deltas led to', async () => {
  await fill(1);
  const { rows } = await pool.query('SELECT count(*)::int AS n FROM post_agg');
  expect(rows[0].n).toBeGreaterThan(0);
  expect(await wrongCounts()).toEqual([]);
});

it('finds counts that are wrong or missing, and repairs them', async () => {
  await fill(20);
  const right = await dump(pool);
  await pool.query(`UPDATE post_agg SET "likeCount" = "likeCount" + 3 WHERE "likeCount" > 0`);
  await pool.query(`DELETE FROM profile_agg WHERE did = $1`, [didOf(2)]);
  const wrong = await wrongCounts();
  expect(wrong).toContainEqual(expect.objectContaining({ table: 'profile_agg', key: didOf(2), held: 0 }));
  expect(wrong.filter(({ column }) => column === 'likeCount').length).toBeGreaterThan(0);
  expect(
    wrong.filter(({ column }) => column === 'likeCount').every(({ held, counted }) => held === counted + 3),
  ).toBe(true);
  expect((await wrongCounts({ sample: 1000 })).length).toBeGreaterThan(0);
  for (const table of ['post_agg', 'profile_agg'] as const) {
    await repairCounts(pool, table, [
      ...new Set(wrong.filter((w) => w.table === table).map(({ key }) => key)),
    ]);
  }
  expect(await wrongCounts()).toEqual([]);
  expect(differences(await dump(pool), right)).toEqual([]);
});

it('is right while rows are being written', async () => {
  await fill(40);
  const writing = (async () => {
    for (let i = 7; i <= 12; i++) await applyEvents(pool, makeRepo(new Random(i), didOf(i), 80).commits);
  })();
  let isOver = false;
  void writing.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    for await (const { table, keys } of countKeys(pool)) {
      expect(await compareCounts(pool, table, keys)).toEqual([]);
      await repairCounts(pool, table, keys);
    }
  }
  await writing;
  expect(await wrongCounts()).toEqual([]);
});
