import type { StreamEvent } from '@headwater/events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { differences, dump, dumpAll, truncateAll } from '../testing/dump.ts';
import { expectedTables } from '../testing/model.ts';
import { Random } from '../testing/random.ts';
import { didOf, fetchParts, makeRepo, type Repo } from '../testing/world.ts';
import { applyEvents, beginFetch, databasePool, knownRevs, markSent, type Pool, repoRows } from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 8, applicationName: 'test' });
});
afterAll(async () => {
  await pool.end();
  // Writers may wait for each other, never in a circle.
  const later = databasePool({ url: database.url, max: 1, applicationName: 'test' });
  const { rows } = await later.query(
    'SELECT deadlocks::int FROM pg_stat_database WHERE datname = current_database()',
  );
  await later.end();
  expect(rows).toEqual([{ deadlocks: 0 }]);
});
afterEach(() => truncateAll(pool));

/** Entries on their way, delivered in any order, some of them more than once. */
class Disorder {
  readonly random: Random;
  readonly pending: StreamEvent[][] = [];
  readonly done: StreamEvent[][] = [];
  /** Jobs whose backfiller crashed: they come again. */
  readonly redelivered: [Repo, Repo['states'][number]][] = [];
  #fetches = 0;

  constructor(random: Random) {
    this.random = random;
  }

  add(entries: readonly StreamEvent[][]): void {
    for (const entry of entries) this.pending.splice(this.random.below(this.pending.length + 1), 0, entry);
  }

  /** A random batch; what was delivered before may come again. */
  take(): StreamEvent[][] {
    const batch = this.pending.splice(0, 1 + this.random.below(8));
    for (let i = this.random.below(4); i > 0 && this.done.length > 0; i--)
      batch.push(this.random.pick(this.done));
    this.done.push(...batch);
    return structuredClone(this.random.shuffle(batch));
  }

  /** The backfiller's part: compare some state of a repo with the rows, send the parts, perhaps crash half-way. */
  async fetch(repo: Repo, state: Repo['states'][number], mayCrash = true): Promise<void> {
    const fetch = `fetch ${this.#fetches++}`;
    const begun = await beginFetch(pool, { did: repo.did, rev: state.rev, fetch });
    if (begun === 'older' || begun === 'complete') return;
    const rows = new Map<string, string>();
    for await (const page of repoRows(pool, repo.did)) {
      for (const { path, cid } of page) rows.set(path, cid);
    }
    const parts = fetchParts(this.random, repo, state, rows, fetch);
    if (mayCrash && this.random.chance(0.3)) {
      this.redelivered.push([repo, state]);
      this.add(parts.slice(0, this.random.below(parts.length)));
      return;
    }
    this.add(parts);
    await markSent(pool, [{ did: repo.did, fetch }]);
  }
}

async function run(seed: number): Promise<{ repos: Repo[]; disorder: Disorder }> {
  const random = new Random(seed);
  const repos = [0, 1, 2, 3].map((n) => makeRepo(random, didOf(n), 12 + random.below(20)));
  const disorder = new Disorder(random);
  for (const repo of repos) disorder.add(repo.commits);
  const writer = async () => {
    while (disorder.pending.length > 0) await applyEvents(pool, disorder.take());
  };
  const backfiller = async () => {
    for (let i = 0; i < 10; i++) {
      const repo = random.pick(repos);
      await disorder.fetch(repo, random.pick(repo.states));
    }
  };
  await Promise.all([writer(), writer(), backfiller()]);
  for (const [repo, state] of disorder.redelivered) {
    await Promise.all([writer(), disorder.fetch(repo, state, false)]);
  }
  await Promise.all([writer(), writer()]);
  return { repos, disorder };
}

const seeds = Array.from({ length: 25 }, (_, i) => i);

describe('any order, any splits, repeated, with fetches in between and two writers at once', () => {
  it.each(seeds)('ends in the tables of the plain model (seed %i)', async (seed) => {
    const { repos, disorder } = await run(seed);
    const truth = repos.map(({ did, states }) => ({ did, records: states.at(-1)!.records }));
    expect(differences(expectedTables(truth), await dump(pool))).toEqual([]);

    // A last whole fetch finds nothing to mend, and every history is whole.
    for (const repo of repos) await disorder.fetch(repo, repo.states.at(-1)!, false);
    while (disorder.pending.length > 0) await applyEvents(pool, disorder.take());
    expect(differences(expectedTables(truth), await dump(pool))).toEqual([]);
    const known = await knownRevs(
      pool,
      repos.map((repo) => repo.did),
    );
    for (const repo of repos) {
      expect(known.get(repo.did)).toMatchObject({ head: repo.states.at(-1)!.rev, gap: false });
    }
  });
});

describe('a whole fetch of a repo never seen', () => {
  it.each([1, 2, 3, 4, 5])('leaves the same rows without reading and with (seed %i)', async (seed) => {
    const write = async (fresh: boolean) => {
      const random = new Random(seed);
      const repos = [0, 1, 2].map((n) => makeRepo(random, didOf(n), 30));
      const entries: StreamEvent[][] = [];
      for (const repo of repos) {
        const state = repo.states.at(-1)!;
        await beginFetch(pool, { did: repo.did, rev: state.rev, fetch: repo.did });
        entries.push(...fetchParts(random, repo, state, new Map(), repo.did));
      }
      if (!fresh) for (const entry of entries) delete entry[0]!.fresh;
      const result = await applyEvents(pool, entries);
      expect(result[fresh ? 'merged' : 'direct']).toBe(0);
      const tables = await dumpAll(pool);
      await truncateAll(pool);
      return tables;
    };
    const direct = await write(true);
    expect(direct['bsky.record']!.length).toBeGreaterThan(20);
    expect(differences(direct, await write(false))).toEqual([]);
  });

  it('meets duplicates in different parts', async () => {
    const random = new Random(7);
    const repo = makeRepo(random, didOf(1), 60);
    const state = repo.states.at(-1)!;
    await beginFetch(pool, { did: repo.did, rev: state.rev, fetch: 'f' });
    for (const part of random.shuffle(fetchParts(random, repo, state, new Map(), 'f'))) {
      await applyEvents(pool, [part]);
    }
    const wanted = expectedTables([{ did: repo.did, records: state.records }]);
    expect(wanted['duplicate_record']!.length).toBeGreaterThan(0);
    expect(differences(wanted, await dump(pool))).toEqual([]);
    expect((await knownRevs(pool, [repo.did])).get(repo.did)).toMatchObject({ state: 'complete' });
  });
});
