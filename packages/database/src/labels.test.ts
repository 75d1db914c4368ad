import type { Label } from '@headwater/events';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
import { Random } from '../testing/random.ts';
import { applyLabels, databasePool, type Pool } from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 4, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const src = 'did:plc:labeler';
const label = (minute: number, rest: Partial<Label> = {}): Label => ({
  src,
  uri: 'at://did:plc:a/app.bsky.feed.post/a',
  val: 'spam',
  cts: new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString(),
  ...rest,
});
const rows = async () => (await pool.query('SELECT * FROM label ORDER BY src, uri, val, cid')).rows;

it.each(Array.from({ length: 15 }, (_, i) => i))(
  'ends on the newest cts in any order (seed %i)',
  async (seed) => {
    const random = new Random(seed);
    const all = Array.from({ length: 30 }, (_, n) =>
      label(random.below(40), {
        val: random.pick(['spam', 'nsfw']),
        ...(random.chance(0.5) && { cid: `cid${random.below(3)}` }),
        ...(random.chance(0.4) && { neg: true }),
        ...(n === 0 && { uri: 'did:plc:a' }),
      }),
    );
    const run = async (list: Label[]) => {
      await truncateAll(pool);
      const batches: Label[][] = [];
      for (let i = 0; i < list.length; ) {
        const size = 1 + random.below(7);
        batches.push(list.slice(i, i + size));
        i += size;
      }
      const work = async () => {
        for (let batch = batches.shift(); batch; batch = batches.shift()) await applyLabels(pool, batch);
      };
      await Promise.all([work(), work()]);
      return rows();
    };
    const wanted = await run(all);
    expect(new Set(wanted.map((row) => `${row.uri} ${row.val}`)).size).toBe(wanted.length);
    for (const row of wanted) {
      const same = all.filter((one) => one.uri === row.uri && one.val === row.val);
      expect(row.cts).toBe(
        same
          .map((one) => one.cts)
          .sort()
          .at(-1),
      );
    }
    expect(await run(random.shuffle([...all, ...all]))).toEqual(wanted);
  },
);

it('lets a negation reach the label with a cid and without, and an old label not come back', async () => {
  await applyLabels(pool, [label(1), label(1, { val: 'nsfw', cid: 'c' })]);
  await applyLabels(pool, [label(3, { neg: true, cid: 'other' }), label(3, { val: 'nsfw', neg: true })]);
  expect(await applyLabels(pool, [label(2), label(2, { val: 'nsfw', cid: 'c' })])).toMatchObject({
    applied: 0,
    unchanged: 2,
  });
  expect(await rows()).toMatchObject([{ neg: true }, { neg: true }]);
  await applyLabels(pool, [label(4)]);
  expect(await rows()).toMatchObject([
    { val: 'nsfw', neg: true },
    { val: 'spam', neg: false, cid: '' },
  ]);
});

it('never stores an expiry that the AppView could not read', async () => {
  const { refused } = await applyLabels(pool, [
    label(1, { val: 'a', exp: '2027-01-01T00:00:00+02:00' }),
    label(1, { val: 'b', exp: 'soon' }),
    label(1, { val: 'c', exp: '+275000-01-01T00:00:00Z' }),
    label(1, { val: 'd', cts: 'then' }),
    label(1, { val: 'e\0' }),
    label(1, { val: 'f', uri: 'x'.repeat(3000) }),
    label(1, { val: 'g', src: 'mod' }),
    label(1, { val: 'h' }),
  ]);
  expect(Object.fromEntries(refused)).toEqual({
    'bad-exp': 2,
    'bad-cts': 1,
    nul: 1,
    'too-wide': 1,
    'bad-src': 1,
  });
  const readable = 'SELECT val FROM label WHERE exp IS NULL OR exp::timestamp > now() ORDER BY val';
  expect((await pool.query(readable)).rows).toEqual([{ val: 'a' }, { val: 'h' }]);
  expect((await rows())[0].exp).toBe('2026-12-31T22:00:00.000Z');
});
