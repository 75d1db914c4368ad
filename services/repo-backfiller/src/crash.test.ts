import { applyEvents, databasePool, type Pool } from '@headwater/database';
import { afterAll, beforeAll, expect, it, onTestFailed } from 'vitest';
import { startRedis, type TestRedis, useDatabase } from '../../../test/support/index.ts';
import { startService } from '../../../test/support/services.ts';
import { until } from '../../../test/support/wait.ts';
import { type FakeAccount, FakeNetwork, likes } from './testing/fake-network.ts';
import { Harness } from './testing/harness.ts';

/** A process killed in the middle of repos of many parts: what is applied in the end equals the truth. */
const database = useDatabase();
let server: TestRedis;
let pool: Pool;
let network: FakeNetwork;
let harness: Harness;

beforeAll(async () => {
  [server, network] = await Promise.all([startRedis(), FakeNetwork.start()]);
  pool = databasePool({ url: database.url, max: 2, applicationName: 'test' });
  harness = new Harness({ redisUrl: server.url, databaseUrl: database.url, plcUrl: network.plc.url });
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  await pool.end();
  await Promise.all([server.stop(), network[Symbol.asyncDispose]()]);
});

/** Applies up to so many of the oldest entries of the output and deletes them, as the indexer does. */
async function index(count: number): Promise<void> {
  if (count === 0) return;
  const { redis } = harness;
  // COUNT 0 is answered with nil.
  if (count === 0) return;
  const entries = await redis.xrange('firehose_backfill', '-', '+', 'COUNT', count);
  const events = (await harness.output()).slice(0, entries.length);
  await applyEvents(pool, events);
  if (entries.length > 0) await redis.xdel('firehose_backfill', ...entries.map(([id]) => id));
}

async function recordsOf({ did }: FakeAccount): Promise<string[]> {
  const { rows } = await pool.query('SELECT uri FROM record WHERE did = $1 ORDER BY uri COLLATE "C"', [did]);
  return rows.map(({ uri }) => uri.slice(`at://${did}/`.length));
}

const start = () =>
  startService('repo-backfiller', {
    redisUrl: server.url,
    databaseUrl: database.url,
    plcUrl: network.plc.url,
    env: {
      // A restarted process that has its old name takes up what it had in hand.
      BACKFILLER_CONSUMER_NAME: 'the-only-one',
      BACKFILLER_HIGH_WATER_MARK: '4',
      LOG_LEVEL: 'warn',
    },
  });

it('kill -9 at any moment repeats work and loses none', { timeout: 120_000 }, async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 100_000);
  onTestFailed(() => console.log(`SEED=${seed}`));
  const random = randomOf(seed);
  const host = await network.host();
  const accounts = [
    await network.account(host, 3000),
    await network.account(host, 900),
    await network.account(host, 2),
  ];
  const repos = () => accounts.map(({ did, rev }) => ({ did, rev }));

  // Twice: into empty tables, then over what the first time left.
  for (let time = 0; time < 2; time++) {
    await harness.add(...repos());
    for (let kill = 0; kill < 2 - time; kill++) {
      await using service = await start();
      const seen = (await harness.output()).length;
      const more = Math.floor(random() * 8);
      await until('parts', async () => (await harness.output()).length >= Math.min(seen + more, 4));
      await service.kill();
      await index(Math.floor(random() * 12));
    }
    await using service = await start();
    await until('all jobs are done', async () => {
      await index(1000);
      return (await harness.redis.xlen('repo_backfill')) === 0;
    });
    await service.stop();
    await index(1000);
    for (const account of accounts) {
      expect(await recordsOf(account)).toEqual([...account.records.keys()].sort());
      const { rows } = await pool.query('SELECT state, floor FROM headwater.repo WHERE did = $1', [
        account.did,
      ]);
      expect(rows).toEqual([{ state: 'complete', floor: account.rev }]);
    }
    expect(await harness.dead()).toEqual({});
    for (const account of accounts) await account.commit(changesOf(account, random));
  }
});

/** About a fifth of the records gone, a fifth changed, some new. */
function changesOf({ records }: FakeAccount, random: () => number): Record<string, unknown> {
  const changes: Record<string, unknown> = {};
  const other = Object.values(likes(1, 'at://did:plc:bbbbbbbbbbbbbbbbbbbbbbbb/app.bsky.feed.post/2'))[0];
  for (const path of records.keys()) {
    const dice = random();
    if (dice < 0.2) changes[path] = undefined;
    else if (dice < 0.4) changes[path] = other;
    else if (dice < 0.5) changes[path.replace('/3', '/4')] = other;
  }
  return changes;
}

/** Mulberry32. */
function randomOf(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
