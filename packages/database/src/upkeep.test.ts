import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { differences, dump, truncateAll } from '../testing/dump.ts';
import { Random } from '../testing/random.ts';
import { cidOf, didOf, makeRepo, type Repo } from '../testing/world.ts';
import {
  applyEvents,
  beginFetch,
  collectTombstones,
  databasePool,
  knownRevs,
  markSent,
  type Pool,
  reopenLost,
  revAt,
  withGaps,
} from './index.ts';
import { timeOfRev } from './revs.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 3, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const END = 'zzzzzzzzzzzzz';
const did = didOf(1);
const tombstones = async () =>
  (await pool.query('SELECT count(*)::int AS n FROM headwater.tombstone')).rows[0].n;
const collect = (below: string) => collectTombstones(pool, { after: '', below, limit: 10 });

/** The repo's first commit as a whole fetch, all later ones live. */
async function follow(repo: Repo): Promise<void> {
  const { rev, data } = repo.states[0]!;
  await beginFetch(pool, { did, rev, fetch: 'f' });
  await applyEvents(pool, [repo.commits[0]!.map((event) => ({ ...event, seq: -1 }))]);
  const end = {
    type: 'repo',
    seq: -1,
    time: new Date(0).toISOString(),
    did,
    commit: cidOf(rev),
    rev,
  } as const;
  await applyEvents(pool, [[{ ...end, data, parts: 1, fetch: 'f', part: 0 }]]);
  await applyEvents(pool, repo.commits.slice(1));
}

describe('tombstones', () => {
  const repo = makeRepo(new Random(3), did, 60);

  it('go when no older event can come, and what comes all the same stays out', async () => {
    await follow(repo);
    const before = await dump(pool);
    expect(await tombstones()).toBeGreaterThan(0);
    expect((await collect(END)).tombstones).toBeGreaterThan(0);
    expect(await tombstones()).toBe(0);
    await applyEvents(pool, repo.commits);
    expect(differences(before, await dump(pool))).toEqual([]);
  });

  it('stay as long as an older event may come', async () => {
    await follow(repo);
    const there = await tombstones();
    expect((await collect('2222222222222')).tombstones).toBe(0);
    await pool.query('UPDATE headwater.repo SET gap_at = now()');
    expect((await collect(END)).tombstones).toBe(0);
    expect(await tombstones()).toBe(there);
  });

  it('are looked through page by page', async () => {
    await follow(repo);
    const first = await collectTombstones(pool, { after: '', below: END, limit: 1 });
    expect(first.next).toBe(did);
    expect(await collectTombstones(pool, { after: did, below: END, limit: 1 })).toEqual({ tombstones: 0 });
  });

  it('are compared by a rev that time gives', () => {
    const now = Date.UTC(2026, 4, 5, 6, 7, 8, 90);
    expect(timeOfRev(revAt(now))).toBe(now);
    expect(revAt(now) < revAt(now + 1)).toBe(true);
  });
});

describe('a repo whose parts are lost', () => {
  const { rev } = makeRepo(new Random(4), did, 5).states.at(-1)!;
  const age = (text: string) =>
    pool.query(`UPDATE headwater.repo SET updated_at = now() - interval '${text}'`);
  const send = async (fetch: string) => {
    const begun = await beginFetch(pool, { did, rev, fetch });
    await markSent(pool, [{ did, fetch }]);
    return begun;
  };

  it('is fetched again and compared, the second time only after a day', async () => {
    await send('a');
    expect(await reopenLost(pool, 60_000, 10)).toBe(0);
    await age('2 minutes');
    expect(await reopenLost(pool, 60_000, 10)).toBe(1);
    expect((await knownRevs(pool, [did])).get(did)).toMatchObject({ state: 'failed', gap: true });
    const found: string[] = [];
    await withGaps(pool, { graceMs: 0, againMs: 0, limit: 10 }, async (gaps) => {
      found.push(...gaps.map(({ reason }) => reason));
    });
    expect(found).toEqual(['desync']);
    expect(await send('b')).toBe('fresh');
    await age('2 minutes');
    expect(await reopenLost(pool, 60_000, 10)).toBe(0);
    await age('25 hours');
    expect(await reopenLost(pool, 60_000, 10)).toBe(1);
  });
});
