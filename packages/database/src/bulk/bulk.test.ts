import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { StreamEvent } from '@headwater/events';
import { COMMAND_SEAMS } from '@headwater/ops';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, type TestDatabase } from '../../../../test/support/index.ts';
import { differences, dumpAll } from '../../testing/dump.ts';
import type { Tables } from '../../testing/model.ts';
import { Random } from '../../testing/random.ts';
import { cidOf, didOf, fetchParts, makeRepo, tid } from '../../testing/world.ts';
import { applyEvents, beginFetch, databasePool, markSent, type Pool, repairCounts } from '../index.ts';
import { BulkError, bulkStatus, finishBulk, startBulk } from './index.ts';

let databases: TestDatabase[] = [];
let pools: Pool[] = [];
let url: string;
let pool: Pool;

async function open(): Promise<{ url: string; pool: Pool }> {
  const database = await createDatabase();
  const opened = databasePool({ url: database.url, max: 6, applicationName: 'test' });
  databases.push(database);
  pools.push(opened);
  return { url: database.url, pool: opened };
}

beforeEach(async () => {
  ({ url, pool } = await open());
});
afterEach(async () => {
  for (const each of pools) await each.end();
  for (const each of databases) await each.drop();
  [pools, databases] = [[], []];
});

/** A first load of half of what some repos did, and the rest as it comes live: before, during and after the finish. */
interface Scenario {
  fetches: { did: string; rev: string; parts: StreamEvent[][] }[];
  live: StreamEvent[][];
}

function scenarioOf(seed: number): Scenario {
  const random = new Random(seed);
  const repos = Array.from({ length: 6 }, (_, n) => makeRepo(random, didOf(n), 24));
  const fetches = repos.map((repo) => {
    const state = repo.states[11]!;
    return { did: repo.did, rev: state.rev, parts: fetchParts(random, repo, state, new Map(), repo.did) };
  });
  const live = repos.flatMap((repo) => repo.commits.slice(12));
  return { fetches, live: [...random.shuffle(live), ...quotesOfVersions()] };
}

/** A post that is quoted, edited and quoted again: quotes are counted by the version that was quoted last. */
function quotesOfVersions(): StreamEvent[][] {
  const quoted = didOf(90);
  const collection = 'app.bsky.feed.post';
  const path = { collection, rkey: tid(1) };
  const commit = (did: string, n: number, type: 'create' | 'update', rkey: string, record: object) => {
    const full = { $type: collection, text: `version ${n}`, createdAt: minute(n), ...record };
    const at = { did, rev: tid(2_000_000 + n), time: minute(n), seq: n, commit: cidOf(`c${n}`) };
    return [
      { type, ...at, collection, rkey, cid: cidOf(JSON.stringify(full)), record: full },
    ] as StreamEvent[];
  };
  const quote = (by: number, n: number, cid: string) => {
    const record = { uri: `at://${quoted}/${collection}/${path.rkey}`, cid };
    return commit(didOf(by), n, 'create', tid(n), { embed: { $type: 'app.bsky.embed.record', record } });
  };
  const first = commit(quoted, 1, 'create', path.rkey, {});
  const second = commit(quoted, 4, 'update', path.rkey, {});
  const [before, after] = [first, second].map(([event]) => (event as { cid: string }).cid);
  return [first, quote(91, 2, before!), quote(92, 3, before!), second, quote(93, 5, after!)];
}

const minute = (n: number) => new Date(Date.UTC(2026, 1, 1, 0, n)).toISOString();

async function load(to: Pool, { fetches }: Scenario): Promise<void> {
  for (const { did, rev, parts } of fetches) {
    await beginFetch(to, { did, rev, fetch: did });
    await applyEvents(to, parts);
    await markSent(to, [{ did, fetch: did }]);
  }
}

const unread = { now: Date.UTC(2026, 5, 1) };
const follow = async (to: Pool, live: readonly StreamEvent[][]) => {
  for (const entry of live) await applyEvents(to, [entry], unread);
};

/** Everything but bulk mode's own state, and rows of counts that only say zero. */
async function everything(of: Pool): Promise<Tables> {
  const tables = await dumpAll(of);
  for (const own of ['bulk', 'bulk_step', 'audit']) delete tables[`headwater.${own}`];
  for (const counts of ['bsky.post_agg', 'bsky.profile_agg']) {
    tables[counts] = tables[counts]!.filter((row) => Object.values(row).some((value) => Number(value) > 0));
  }
  const { rows } = await of.query('SELECT indexname, indexdef FROM pg_indexes WHERE schemaname IN ($1, $2)', [
    'bsky',
    'headwater',
  ]);
  return { ...tables, indexes: rows };
}

async function normal(scenario: Scenario): Promise<Tables> {
  const other = await open();
  await load(other.pool, scenario);
  await follow(other.pool, scenario.live);
  return await everything(other.pool);
}

describe('bulk mode', () => {
  it.each([1, 2, 3])(
    'ends in the tables and indexes of normal mode, with live events all the while (seed %i)',
    async (seed) => {
      const scenario = scenarioOf(seed);
      const third = Math.ceil(scenario.live.length / 3);
      const [early, middle, late] = [0, 1, 2].map((i) => scenario.live.slice(i * third, (i + 1) * third));
      await follow(pool, early!.slice(0, 3));
      const dropped = await startBulk(pool);
      expect(dropped).toContain('like_creator_cursor_idx');
      await load(pool, scenario);
      await follow(pool, early!.slice(3));
      expect((await pool.query('SELECT FROM bsky.profile_agg')).rowCount).toBeLessThan(4);
      // Some at each step, in the order in which they came, while the next step is under way.
      const left = middle!.values();
      let written = Promise.resolve();
      const next = () => follow(pool, left.take(4).toArray());
      await finishBulk({
        url,
        say: () => {
          written = written.then(next);
        },
      });
      await written;
      await follow(pool, left.toArray());
      await follow(pool, late!);
      expect(differences(await normal(scenario), await everything(pool))).toEqual([]);
      expect(await bulkStatus(pool)).toMatchObject({ state: 'off', finishedAt: expect.any(Date) });
    },
  );

  it.each(COMMAND_SEAMS)('goes on when it is killed at %s', async (seam) => {
    const scenario = scenarioOf(4);
    const half = scenario.live.length >> 1;
    await startBulk(pool);
    await load(pool, scenario);
    await follow(pool, scenario.live.slice(0, half));
    for (const times of timesOf(seam)) expect(finishInProcess(seam, times)).toBe('SIGKILL');
    await follow(pool, scenario.live.slice(half));
    expect((await bulkStatus(pool)).state).toMatch(/finishing|settling/);
    await finishBulk({ url });
    expect(differences(await normal(scenario), await everything(pool))).toEqual([]);
  });

  it('is refused where repos are loaded, where it is on, and to be ended where it is off', async () => {
    await expect(finishBulk({ url })).rejects.toThrow(BulkError);
    await startBulk(pool);
    await expect(startBulk(pool)).rejects.toThrow(/on already \(loading\)/);
    await expect(repairCounts(pool, 'post_agg', ['at://x'])).rejects.toThrow(BulkError);
    await load(pool, scenarioOf(5));
    await finishBulk({ url, blockWriters: true });
    await expect(startBulk(pool)).rejects.toThrow(/not empty/);
  });
});

/** The states are passed once in each run. */
const timesOf = (seam: string) => (/ing$/.test(seam) ? [1, 1] : [1, 2]);

const main = fileURLToPath(new URL('../../../../services/console/src/main.ts', import.meta.url));

/** `headwater bulk finish`, killed when it passes a seam so many times; how it ended. */
function finishInProcess(seam: string, times: number): string {
  const hook = `let left = ${times};
    globalThis[Symbol.for('headwater.seam')] = (name) => {
      if (name === '${seam}' && --left === 0) process.kill(process.pid, 'SIGKILL');
    };`;
  const hooked = ['--import', `data:text/javascript,${encodeURIComponent(hook)}`];
  const env = { PATH: process.env['PATH'], DATABASE_URL: url, REDIS_URL: 'redis://127.0.0.1:1' };
  const args = [...hooked, main, 'bulk', 'finish', '--sessions', '1'];
  const { signal, status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
  return signal ?? `${status} ${stderr}`;
}
