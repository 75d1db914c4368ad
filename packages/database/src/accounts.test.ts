import type { StreamEvent } from '@headwater/events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { differences, dump, truncateAll } from '../testing/dump.ts';
import { expectedTables } from '../testing/model.ts';
import { Random } from '../testing/random.ts';
import { cidOf, didOf, makeRepo, type Repo } from '../testing/world.ts';
import {
  applyEvents,
  beginFetch,
  confirmDeparture,
  databasePool,
  dueDepartures,
  type Gap,
  knownRevs,
  markRepoState,
  type Pool,
  postponeDeparture,
  purgeRepo,
  questionAnswered,
  refuteDeparture,
  showAccount,
  withGaps,
} from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 4, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const did = didOf(1);
const epoch = Date.UTC(2026, 5, 1);
const minute = (n: number) => new Date(epoch + n * 60_000).toISOString();
const table = async (sql: string, values: unknown[] = []) => (await pool.query(sql, values)).rows;
const status = async () =>
  (await table('SELECT "upstreamStatus" AS s FROM actor WHERE did = $1', [did]))[0]?.s;
const records = async () => (await table('SELECT count(*)::int AS n FROM record WHERE did = $1', [did]))[0].n;
const state = async () => (await table('SELECT state FROM headwater.repo WHERE did = $1', [did]))[0]?.state;
const say = (n: number, active: boolean, word?: string) =>
  applyEvents(pool, [
    [{ type: 'account', seq: n, time: minute(n), did, active, ...(word && { status: word }) } as StreamEvent],
  ]);

async function looks(againMs = 60_000): Promise<Gap[]> {
  const found: Gap[] = [];
  await withGaps(pool, { graceMs: 0, againMs, limit: 10 }, async (list) => void found.push(...list));
  return found;
}

/** A repo that was fetched at its last commit. */
async function fetched(repo: Repo): Promise<void> {
  const { rev, data } = repo.states.at(-1)!;
  await applyEvents(pool, repo.commits);
  expect(await beginFetch(pool, { did: repo.did, rev, fetch: 'f' })).toBe('go');
  const end = {
    type: 'repo',
    seq: -1,
    time: minute(0),
    did: repo.did,
    commit: cidOf(rev),
    rev,
    data,
  } as const;
  await applyEvents(pool, [[{ ...end, parts: 1, fetch: 'f', part: 0 }]]);
}

/** The commit after the last of a repo. */
function nextCommit(repo: Repo): StreamEvent[] {
  const longer = makeRepo(new Random(7), repo.did, repo.commits.length + 1);
  const last = repo.states.at(-1)!;
  return longer.commits.at(-1)!.map((event, i) => ({
    ...event,
    rev: `3z${last.rev.slice(2)}`,
    ...(i === 0 && { since: last.rev, prevData: last.data, data: 'new' }),
  })) as StreamEvent[];
}

describe('the status of an account', () => {
  it.each(['deactivated', 'suspended', 'takendown', 'asleep'])(
    '%s hides it and keeps its rows',
    async (word) => {
      await fetched(makeRepo(new Random(1), did, 5));
      const before = await records();
      await say(1, false, word);
      expect(await status()).toBe(word);
      expect(await records()).toBe(before);
      expect(await dueDepartures(pool, 10, 0)).toEqual([]);
    },
  );

  it.each(['desynchronized', 'throttled'])(
    '%s hides nobody, purges nothing and has it looked at',
    async (word) => {
      await fetched(makeRepo(new Random(1), did, 5));
      const before = await records();
      await say(1, false, word);
      expect([await status(), await records()]).toEqual([null, before]);
      expect(await looks()).toMatchObject([{ did, reason: 'account' }]);
      expect(await looks()).toEqual([]);
      // Nor does it show who is hidden.
      await say(2, false, 'takendown');
      await say(3, false, word);
      expect(await status()).toBe('takendown');
      expect(await dueDepartures(pool, 10, 0)).toEqual([]);
    },
  );

  it('active again is asked about until it is answered: what carries the question may lose it', async () => {
    await fetched(makeRepo(new Random(2), did, 5));
    await say(1, false, 'deactivated');
    await say(2, true);
    expect(await looks(0)).toMatchObject([{ did, reason: 'account' }]);
    expect(await looks(0)).toMatchObject([{ did, reason: 'account' }]);
    const known = async () => (await knownRevs(pool, [did])).get(did);
    expect(await known()).toMatchObject({ gap: false, question: true });
    // The host was asked before the question arose.
    await questionAnswered(pool, did, Date.now() - 60_000);
    expect(await looks(0)).toHaveLength(1);
    await questionAnswered(pool, did, Date.now() + 60_000);
    expect(await looks(0)).toEqual([]);
    expect(await known()).toMatchObject({ gap: false, question: false });
  });

  it('active again has the repo looked at, once, unless a commit shows that nothing was missed', async () => {
    const repo = makeRepo(new Random(2), did, 5);
    await fetched(repo);
    await say(1, false, 'deactivated');
    expect(await looks()).toEqual([]);
    await say(2, true);
    expect(await looks()).toMatchObject([{ did, reason: 'account' }]);
    expect(await looks()).toEqual([]);
    await say(3, false, 'deactivated');
    await say(4, true);
    await applyEvents(pool, [nextCommit(repo)]);
    expect(await looks()).toEqual([]);
  });

  it.each(['before', 'after'])('hidden %s a later commit has it asked about: it is back', async (order) => {
    const repo = makeRepo(new Random(2), did, 5);
    await fetched(repo);
    const hide = () => say(1, false, 'deactivated');
    const write = () => applyEvents(pool, [nextCommit(repo)]);
    for (const step of order === 'before' ? [hide, write] : [write, hide]) await step();
    expect(await status()).toBe('deactivated');
    expect(await looks()).toMatchObject([{ did, reason: 'account' }]);
    await showAccount(pool, did, Date.parse(minute(0)));
    expect(await status()).toBe('deactivated');
    await showAccount(pool, did, Date.parse(minute(2)));
    expect(await status()).toBeNull();
  });

  it('gone by the word of a host that was asked before it came back changes nothing', async () => {
    await fetched(makeRepo(new Random(3), did, 5));
    await say(2, true);
    const account = { active: false, status: 'suspended', time: Date.parse(minute(1)) };
    await markRepoState(pool, { did, state: 'unavailable', reason: 'RepoSuspended', account });
    expect([await status(), await state()]).toEqual([null, 'complete']);
  });

  it('deleted, replayed after the account came back and was fetched, erases nothing', async () => {
    await say(2, true);
    await fetched(makeRepo(new Random(3), did, 5));
    const before = await records();
    await say(1, false, 'deleted');
    expect([await status(), await records()]).toEqual([null, before]);
    expect(await dueDepartures(pool, 10, 0)).toEqual([]);
  });

  it('deleted is asked about first; what an account event says meanwhile ends it', async () => {
    await fetched(makeRepo(new Random(4), did, 5));
    const before = await records();
    await say(1, false, 'deleted');
    expect([await status(), await records()]).toEqual(['deleted', before]);
    expect(await purgeRepo(pool, did)).toEqual({ removed: 0, done: false });
    expect(await dueDepartures(pool, 10, 60_000)).toEqual([{ did, confirmed: false, tries: 0 }]);
    expect(await dueDepartures(pool, 10, 60_000)).toEqual([]);
    await postponeDeparture(pool, did, 0);
    expect(await dueDepartures(pool, 10, 60_000)).toEqual([{ did, confirmed: false, tries: 1 }]);
    await say(2, true);
    expect(await confirmDeparture(pool, did)).toBe(false);
    expect(await records()).toBe(before);
    expect(await table('SELECT * FROM headwater.departure')).toEqual([]);
  });

  it('deleted and refuted is what the PDS says, until a newer account event', async () => {
    await fetched(makeRepo(new Random(4), did, 5));
    await say(10, false, 'deleted');
    await refuteDeparture(pool, did, { active: true, status: null });
    expect(await status()).toBeNull();
    expect(await looks()).toMatchObject([{ did, reason: 'account' }]);
    await say(10, false, 'deleted');
    expect(await status()).toBeNull();
    await say(11, false, 'suspended');
    expect(await status()).toBe('suspended');
    expect(await table('SELECT * FROM headwater.departure')).toEqual([]);
  });
});

describe('a deleted account', () => {
  const world = (seed: number) =>
    Array.from({ length: 4 }, (_, n) => makeRepo(new Random(seed * 10 + n), didOf(n), 12));
  const depart = async () => {
    await say(100, false, 'deleted');
    expect(await confirmDeparture(pool, did)).toBe(true);
  };

  it.each([1, 2, 3, 4, 5])(
    'leaves what there would be without it, counts included (seed %i)',
    async (seed) => {
      const repos = world(seed);
      await applyEvents(pool, new Random(seed).shuffle(repos.flatMap((repo) => repo.commits)));
      await depart();
      let removed = 0;
      // Interrupted after every piece.
      for (let done = false; !done; ) {
        const stop = new AbortController();
        const piece = purgeRepo(pool, did, { pieceSize: 3, signal: stop.signal });
        stop.abort();
        const result = await piece.catch(() => undefined);
        const [row] = await table('SELECT records::int, purged_at FROM headwater.departure');
        removed = row.records;
        done = result?.done ?? row.purged_at !== null;
      }
      const kept = repos
        .filter((repo) => repo.did !== did)
        .map((repo) => ({ did: repo.did, records: repo.states.at(-1)!.records }));
      expect(removed).toBe(repos.find((repo) => repo.did === did)!.states.at(-1)!.records.size);
      expect(differences(expectedTables(kept), await dump(pool)), `seed ${seed}`).toEqual([]);
      for (const own of ['actor', 'actor_sync', 'headwater.tombstone', 'headwater.handle_due']) {
        expect(await table(`SELECT 1 FROM ${own} WHERE did = $1`, [did]), own).toEqual([]);
      }
      expect(await dueDepartures(pool, 10, 0)).toEqual([]);
    },
  );

  it('stays gone whatever comes late, and comes back whole', async () => {
    const repo = makeRepo(new Random(8), did, 8);
    await fetched(repo);
    await depart();
    await purgeRepo(pool, did);
    const late = await applyEvents(pool, [...repo.commits, nextCommit(repo)]);
    expect(late.drops.get('deleted-account')).toBeGreaterThan(0);
    await say(99, true);
    expect([await records(), await state()]).toEqual([0, 'deleted']);
    expect(await table('SELECT 1 FROM actor')).toEqual([]);
    // A fetch that had begun before.
    const last = repo.states.at(-1)!;
    const start = { did, rev: `3z${last.rev.slice(2)}`, fetch: 'g' };
    expect(await beginFetch(pool, { ...start, startedAt: epoch })).toBe('older');
    await say(101, true);
    expect(await looks()).toMatchObject([{ did, reason: 'account' }]);
    expect(await beginFetch(pool, start)).toBe('fresh');
    await applyEvents(pool, [nextCommit(repo)]);
    expect([(await records()) > 0, await status()]).toEqual([false, null]);
    expect(await table('SELECT did FROM actor')).toEqual([{ did }]);
  });

  it('may be fetched by who finds it alive, without an account event', async () => {
    const repo = makeRepo(new Random(9), did, 4);
    await fetched(repo);
    await depart();
    await purgeRepo(pool, did);
    const { rev } = repo.states.at(-1)!;
    expect(await beginFetch(pool, { did, rev, fetch: 'h', startedAt: Date.parse(minute(101)) })).toBe(
      'fresh',
    );
    expect(await state()).toBe('fetching');
  });

  it('that is back in the middle of it is purged no further', async () => {
    const repo = makeRepo(new Random(8), did, 30);
    await fetched(repo);
    const before = await records();
    await depart();
    const stop = new AbortController();
    const piece = purgeRepo(pool, did, { pieceSize: 1, signal: stop.signal });
    await expect.poll(records).toBeLessThan(before);
    stop.abort();
    await piece.catch(() => {});
    const left = await records();
    await say(101, true);
    expect(await purgeRepo(pool, did)).toEqual({ removed: 0, done: false });
    expect(await records()).toBe(left);
    expect(await state()).toBe('new');
  });
});
