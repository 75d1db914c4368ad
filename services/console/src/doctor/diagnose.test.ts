import { connect, type Redis } from '@headwater/streams';
import postgres from 'postgres';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startRedis, type TestRedis, useDatabase } from '../../../../test/support/index.ts';
import { configure, empty, keyOf } from '../../../../test/support/redis.ts';
import { type DiagnoseOptions, diagnose } from './diagnose.ts';
import type { Finding } from './finding.ts';

const database = useDatabase();
let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis({ aof: true, args: ['--requirepass', 'right'] });
  redis = connect(urlWith('right'));
  // The tests' PostgreSQL is in a hurry; an operator's must not be.
  await inDatabase((sql) => sql`ALTER DATABASE ${sql(database.name)} SET synchronous_commit = 'on'`);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});
beforeEach(async () => {
  await empty(redis);
});

async function inDatabase<T>(run: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(database.url, { max: 1 });
  try {
    return await run(sql);
  } finally {
    await sql.end();
  }
}

function urlWith(password: string): string {
  return server.url.replace('://', `://:${password}@`);
}

/** What it finds with one thing changed. */
function look(env: Record<string, string> = {}, options: DiagnoseOptions = {}): Promise<Finding[]> {
  const all = { REDIS_URL: urlWith('right'), DATABASE_URL: database.url, ...env };
  return diagnose({ ...options, env: all });
}

async function wrong(...args: Parameters<typeof look>): Promise<Finding[]> {
  return (await look(...args)).filter(({ level }) => level !== 'ok');
}

const one = (check: string, level: string, what: RegExp, fix: RegExp) => [
  { check, level, what: expect.stringMatching(what), fix: expect.stringMatching(fix) },
];

it('finds nothing wrong where nothing is', async () => {
  const findings = await look();
  expect(findings.filter(({ level }) => level !== 'ok')).toEqual([]);
  expect(findings.length).toBeGreaterThan(12);
});

it('an unknown setting', async () => {
  const found = await wrong({ INGESTER_RELAY_HOST: 'x' });
  expect(found).toEqual(
    one('settings', 'error', /INGESTER_RELAY_HOST: .*INGESTER_RELAY_HOSTS/, /configuration\.md/),
  );
});

it('a wrong password, of either server', async () => {
  const found = await wrong({ REDIS_URL: urlWith('wrong') });
  expect(found).toEqual(one('Redis', 'error', /WRONGPASS/, /password is wrong.*REDIS_URL/));
  expect(JSON.stringify(found)).not.toContain(':wrong@');
  const url = new URL(database.url);
  url.username = 'nobody';
  url.password = 'wrong';
  const [finding] = await wrong({ DATABASE_URL: url.href });
  expect(finding).toMatchObject({ check: 'PostgreSQL', level: 'error' });
  expect((finding as { fix: string }).fix).toMatch(/password is wrong.*DATABASE_URL/);
});

it('servers that are not there', async () => {
  const nowhere = { REDIS_URL: 'redis://127.0.0.1:1', DATABASE_URL: 'postgres://a:b@127.0.0.1:1/c' };
  expect((await wrong(nowhere)).map(({ check, level }) => [check, level])).toEqual([
    ['Redis', 'error'],
    ['PostgreSQL', 'error'],
  ]);
});

it('a missing migration', async () => {
  const [row] = await inDatabase(
    (sql) => sql`
      DELETE FROM headwater.migration WHERE name = (SELECT max(name) FROM headwater.migration) RETURNING *`,
  );
  const found = await wrong();
  await inDatabase((sql) => sql`INSERT INTO headwater.migration ${sql(row!)}`);
  expect(found).toEqual(one('schema', 'error', new RegExp(`missing.*${row!['name']}`), /headwater migrate/));
});

it('a missing group', async () => {
  await redis.xadd('firehose_live', '*', 'event', '{}');
  const found = await wrong();
  expect(found).toEqual(
    one('stream firehose_live', 'error', /no consumer group firehose_group/, /Start the indexer/),
  );
});

it('a consumer that is gone with entries in hand', async () => {
  await redis.xadd('firehose_backfill', '*', 'event', '{}');
  await redis.xgroup('CREATE', 'firehose_backfill', 'firehose_group', '0');
  await redis.xreadgroup('GROUP', 'firehose_group', 'indexer-7', 'STREAMS', 'firehose_backfill', '>');
  expect(await wrong()).toEqual([]);
  const found = await wrong({}, { consumerGoneMs: -1 });
  expect(found).toEqual(
    one('stream firehose_backfill', 'error', /indexer-7 has 1 entries/, /No copy of the indexer is left/),
  );
});

it('a high-water mark that is reached', async () => {
  await redis.xgroup('CREATE', 'repo_backfill', 'repo_backfill_group', '0', 'MKSTREAM');
  for (let i = 0; i < 3; i++) await redis.xadd('repo_backfill', '*', 'repo', '{}');
  const found = await wrong({ INGESTER_HIGH_WATER_MARK: '3' });
  expect(found).toEqual(one('stream repo_backfill', 'warning', /3 of 3 entries/, /more copies/));
});

it('dead letters', async () => {
  await redis.xadd(keyOf('label_live:dead'), '*', 'event', '{}');
  expect(await wrong()).toEqual(
    one('stream label_live', 'warning', /1 dead letters/, /dead list label_live/),
  );
});

it('a clock that is off', async () => {
  const found = await wrong({}, { now: () => Date.now() - 10 * 60_000 });
  expect(found.map(({ check, level }) => [check, level])).toEqual([
    ['clock against Redis', 'error'],
    ['clock against PostgreSQL', 'error'],
  ]);
  expect(found[0]!.what).toContain("10 min ahead of this machine's");
});

it('a Redis that may forget', async () => {
  await configure(redis, 'maxmemory-policy', 'allkeys-lru');
  await configure(redis, 'appendonly', 'no');
  expect((await wrong()).map(({ check }) => check)).toEqual(['Redis eviction', 'Redis durability']);
  await configure(redis, 'maxmemory-policy', 'noeviction');
  await configure(redis, 'appendonly', 'yes');
});
