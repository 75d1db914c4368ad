import { afterAll, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { didOf } from '../testing/world.ts';
import { absentRepos, databasePool, markListed, type Pool, revAt } from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 2, applicationName: 'test' });
});
afterAll(() => pool.end());

const look = Date.UTC(2026, 5, 1);
const [before, after] = [revAt(look - 60_000), revAt(look + 60_000)];
/** state, floor, head, live rev. */
const repos: Record<string, [string, string | null, string | null, string | null]> = {
  [didOf(1)]: ['complete', before, before, null],
  [didOf(2)]: ['complete', before, before, before],
  [didOf(3)]: ['unavailable', before, before, null],
  [didOf(4)]: ['complete', before, after, after],
  [didOf(5)]: ['complete', after, after, null],
  [didOf(6)]: ['deleted', before, before, null],
  [didOf(7)]: ['sent', before, null, null],
  [didOf(8)]: ['unavailable', null, null, null],
  [didOf(9)]: ['new', null, null, before],
};

it('what no list has named since, has not written since and is held is absent, page by page', async () => {
  for (const [did, values] of Object.entries(repos)) {
    const sql = 'INSERT INTO headwater.repo (did, state, floor, head, live_rev) VALUES ($1, $2, $3, $4, $5)';
    await pool.query(sql, [did, ...values]);
  }
  const absent = async (limit: number) => {
    const found: string[] = [];
    let held = 0;
    for (let at: string | undefined = ''; at !== undefined; ) {
      const page = await absentRepos(pool, { look, after: at, limit });
      found.push(...page.absent);
      held += page.held;
      at = page.next;
    }
    return { found: found.sort(), held };
  };
  const dids = (...n: number[]) => n.map((one) => didOf(one)).sort();
  expect(await absent(100)).toEqual({ found: dids(1, 2, 3, 9), held: 8 });
  expect(await absent(2)).toEqual({ found: dids(1, 2, 3, 9), held: 8 });
  await markListed(pool, dids(1, 3), look - 1);
  expect((await absent(100)).found).toEqual(dids(1, 2, 3, 9));
  await markListed(pool, dids(1, 9), look);
  // An older list takes nothing back.
  await markListed(pool, dids(1, 9), look - 1);
  expect((await absent(3)).found).toEqual(dids(2, 3));
});
