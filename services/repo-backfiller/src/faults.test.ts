import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Secp256k1Keypair } from '@atproto/crypto';
import { databasePool, migrate, type Pool } from '@headwater/database';
import { sleep } from '@headwater/ops';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createDatabase, startRedis, type TestRedis, useDatabase } from '../../../test/support/index.ts';
import { empty, keyOf } from '../../../test/support/redis.ts';
import { until } from '../../../test/support/wait.ts';
import { FakeNetwork, likes, sendCar, sendError, sendJson } from './testing/fake-network.ts';
import { Harness, type HarnessOptions } from './testing/harness.ts';

/** Hosts and directories that misbehave: what becomes of the repo, and of its neighbours. */
const database = useDatabase();
let server: TestRedis;
let pool: Pool;
let network: FakeNetwork;

beforeAll(async () => {
  server = await startRedis();
  pool = databasePool({ url: database.url, max: 2, applicationName: 'test' });
});
afterAll(async () => {
  await pool.end();
  await server.stop();
});
beforeEach(async () => {
  network = await FakeNetwork.start();
});
afterEach(async () => {
  await network[Symbol.asyncDispose]();
});

function harnessOf(options: Partial<HarnessOptions> = {}): Harness {
  const { url: redisUrl } = server;
  return new Harness({ redisUrl, databaseUrl: database.url, plcUrl: network.plc.url, ...options });
}

/** A backfiller with an empty Redis. */
async function start(options: Partial<HarnessOptions> = {}): Promise<Harness> {
  const harness = harnessOf(options);
  await empty(harness.redis);
  return harness.start();
}

const reasonOf = async (did: string) =>
  (await pool.query('SELECT state, reason FROM headwater.repo WHERE did = $1', [did])).rows[0];
const getRepos = (requests: string[]) => requests.filter((url) => url.includes('getRepo'));

describe('a repo that can not be believed', () => {
  it.each<[string, (account: Awaited<ReturnType<FakeNetwork['account']>>) => unknown]>([
    ['truncated', (account) => (account.car = account.car.subarray(0, account.car.length - 40))],
    ['missing-block', async (account) => (account.car = withoutLastBlock(account.car))],
    ['wrong-did', (account) => account.commit({}, { did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' })],
    ['bad-hash', (account) => (account.car = account.car.with(account.car.length - 1, 255))],
    ['bad-signature', async (account) => (account.documentKey = (await Secp256k1Keypair.create()).did())],
  ])('%s: tried again, then a dead letter; its neighbour is sent', async (reason, spoil) => {
    const host = await network.host();
    const [bad, good] = [await network.account(host, 30), await network.account(host)];
    await spoil(bad);
    await using harness = await start();
    await harness.add({ did: bad.did }, { did: good.did });
    await harness.idle();
    expect(await harness.dead()).toEqual({ [bad.did]: reason });
    expect(await reasonOf(bad.did)).toEqual({ state: 'failed', reason });
    expect(getRepos(host.requests).filter((url) => url.includes(bad.did)).length).toBe(3);
    expect(await harness.sentOf(bad.did)).toEqual([]);
    expect((await harness.sentOf(good.did)).length).toBe(4);
  });

  it('an answer without end is cut off at the limit', async () => {
    const host = await network.host();
    const account = await network.account(host);
    host.instead = (_req, res) => {
      const more = () => {
        while (!res.destroyed && res.write(Buffer.alloc(64 * 1024, 1)));
      };
      res.on('drain', more);
      more();
    };
    await using harness = await start({
      env: { BACKFILLER_MAX_REPO_BYTES: '1MiB', BACKFILLER_MAX_ATTEMPTS: '1' },
    });
    await harness.add({ did: account.did });
    await harness.idle();
    expect(Object.values(await harness.dead())[0]).toMatch(/too-large|bad-car/);
  });

  it('a record that no lexicon JSON can say is left out, its neighbours are sent', async () => {
    const host = await network.host();
    const account = await network.account(host, {
      ...likes(2),
      'app.bsky.feed.like/3zzzzzzzzzzzz': ['not', 'a map'],
    });
    await using harness = await start();
    await harness.add({ did: account.did });
    await harness.idle();
    expect((await harness.sentOf(account.did)).length).toBe(3);
    expect(await harness.count('backfiller_unusable_records_total', { reason: 'bad-record' })).toBe(1);
  });
});

describe('keys and moves', () => {
  it('a key that was rotated is found in a fresh document, without a second download', async () => {
    const host = await network.host();
    const account = await network.account(host);
    await using harness = await start();
    await harness.add({ did: account.did });
    await harness.idle();
    account.keypair = await Secp256k1Keypair.create();
    account.documentKey = account.keypair.did();
    await account.commit(likes(5));
    await harness.add({ did: account.did, rev: account.rev });
    await harness.idle();
    expect(await harness.dead()).toEqual({});
    expect(getRepos(host.requests).length).toBe(2);
    expect(network.plc.requests.length).toBe(2);
  });

  it.each(['RepoNotFound', 'RepoDeactivated', 'gone'])(
    'an account that has moved is fetched from its new PDS (%s)',
    async (was) => {
      const [old, host] = [await network.host(), await network.host()];
      const account = await network.account(old);
      await using harness = await start();
      await harness.add({ did: account.did });
      await harness.idle();
      account.pds = host;
      if (was === 'gone') await old[Symbol.asyncDispose]();
      else old.instead = (_req, res) => sendError(res, 400, was);
      await account.commit(likes(5));
      await harness.add({ did: account.did, rev: account.rev });
      await harness.idle();
      expect(getRepos(host.requests).length).toBe(1);
      expect(await harness.dead()).toEqual({});
      expect((await harness.sentOf(account.did)).length).toBeGreaterThanOrEqual(5);
    },
  );

  it('a terminal answer is noted, once', async () => {
    const host = await network.host();
    const account = await network.account(host);
    host.instead = (_req, res) => sendError(res, 400, 'RepoTakendown');
    await using harness = await start();
    await harness.add({ did: account.did });
    await harness.idle();
    expect(await reasonOf(account.did)).toEqual({ state: 'unavailable', reason: 'RepoTakendown' });
    expect(host.requests.length).toBe(1);
    expect(await harness.dead()).toEqual({});
  });

  it('a PDS on a private address is not asked', async () => {
    const host = await network.host();
    const account = await network.account(host);
    const env = { HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'false', BACKFILLER_MAX_ATTEMPTS: '1' };
    await using harness = await start({ env });
    await harness.add({ did: account.did });
    await harness.idle();
    expect(await harness.dead()).toEqual({ [account.did]: 'refused-address' });
    expect(host.requests).toEqual([]);
  });
});

describe('hosts in trouble', () => {
  it.each<[string, (res: import('node:http').ServerResponse) => void]>([
    ['with Retry-After', (res) => sendError(res, 429, 'RateLimitExceeded', { 'retry-after': '1' })],
    [
      'with RateLimit-Reset',
      (res) => sendJson(res, 429, {}, { 'ratelimit-reset': `${Math.ceil(Date.now() / 1000) + 1}` }),
    ],
    ['without a word', (res) => sendError(res, 429, 'RateLimitExceeded')],
    ['as HTML', (res) => res.writeHead(429, { 'content-type': 'text/html' }).end('<html>slow down</html>')],
  ])('a 429 %s is no failure of the repo', async (_name, refuse) => {
    const host = await network.host();
    const accounts = await Promise.all([1, 2, 3].map(() => network.account(host)));
    host.instead = (_req, res) => {
      host.instead = undefined;
      refuse(res);
    };
    await using harness = await start({ env: { BACKFILLER_MAX_ATTEMPTS: '1' } });
    await harness.add(...accounts.map(({ did }) => ({ did })));
    await harness.idle();
    expect(await harness.dead()).toEqual({});
    expect(await harness.count('backfiller_failures_total')).toBe(0);
    for (const { did } of accounts) expect((await harness.sentOf(did)).length).toBe(4);
  });

  it('500s, then an answer', async () => {
    const host = await network.host();
    const account = await network.account(host);
    let left = 2;
    host.instead = (_req, res) => {
      if (--left === 0) host.instead = undefined;
      res.writeHead(500).end('oops');
    };
    await using harness = await start();
    await harness.add({ did: account.did });
    await harness.idle();
    expect((await harness.sentOf(account.did)).length).toBe(4);
    expect(await harness.count('backfiller_failures_total', { reason: 'http' })).toBe(2);
  });

  it('a byte now and then is hung up on', async () => {
    const host = await network.host();
    const account = await network.account(host);
    host.instead = (_req, res) => {
      const timer = setInterval(() => res.write('x'), 100);
      res.on('close', () => clearInterval(timer));
    };
    await using harness = await start({ env: { BACKFILLER_MAX_ATTEMPTS: '2' } });
    await harness.add({ did: account.did });
    await harness.idle();
    expect(await harness.dead()).toEqual({ [account.did]: 'too-slow' });
  });

  it('a host that fails with everything is parked, and its entries wait in Redis', async () => {
    const host = await network.host();
    const accounts = await Promise.all(Array.from({ length: 8 }, () => network.account(host)));
    host.instead = (_req, res) => res.writeHead(502).end();
    const env = {
      BACKFILLER_MAX_ATTEMPTS: '5',
      BACKFILLER_CONCURRENCY: '4',
      BACKFILLER_RETRY_BASE_MS: '3000',
      BACKFILLER_RETRY_MAX_MS: '3000',
    };
    await using harness = await start({ env, tuning: { baseParkMs: 60_000, maxParkMs: 60_000 } });
    await harness.add(...accounts.map(({ did }) => ({ did })));
    await until(
      'all wait',
      async () => (await harness.redis.zcard(keyOf('repo_backfill:later'))) === 8,
      10_000,
    );
    expect(await harness.redis.xlen('repo_backfill')).toBe(0);
    expect(host.requests.length).toBeLessThanOrEqual(6);
    expect(await harness.redis.zrange('repo_backfill:parked', '0', '-1')).toEqual([new URL(host.url).host]);
  });

  it('the pause that a host asks for outlives the process', async () => {
    const host = await network.host();
    const [first, second] = [await network.account(host), await network.account(host)];
    host.instead = (_req, res) => sendError(res, 429, 'RateLimitExceeded', { 'retry-after': '2' });
    const started = Date.now();
    {
      await using harness = await start();
      await harness.add({ did: first.did });
      await until(
        'it waits',
        async () => (await harness.redis.zcard(keyOf('repo_backfill:later'))) === 1,
        10_000,
      );
    }
    host.instead = undefined;
    await using harness = harnessOf().start();
    await harness.add({ did: second.did });
    await until('both are sent', async () => (await harness.output()).length === 2, 10_000);
    expect(Date.now() - started).toBeGreaterThan(1900);
    expect(host.requests.length).toBe(3);
  });

  it('many entries of a slow host do not hold up those of another behind them', async () => {
    const [slow, fast] = [await network.host(), await network.host()];
    const slows = await Promise.all(Array.from({ length: 120 }, () => network.account(slow, 1)));
    const fasts = await Promise.all(Array.from({ length: 30 }, () => network.account(fast, 1)));
    slow.instead = (_req, res, url) => {
      const { car } = network.accounts.get(url.searchParams.get('did')!)!;
      setTimeout(() => sendCar(res, car), 1000);
    };
    await using harness = await start({
      env: { BACKFILLER_CONCURRENCY: '6', BACKFILLER_HOST_CONCURRENCY: '3' },
    });
    await harness.add(...[...slows, ...fasts].map(({ did }) => ({ did })));
    await until('the fast ones are sent', async () => fast.requests.length === 30, 60_000);
    // In the order of the stream all of them would have come first: 40 s of waiting.
    expect(slow.requests.length).toBeLessThan(slows.length / 2);
  });

  it('without the PLC directory entries are put off and nothing is counted against them', async () => {
    const host = await network.host();
    const account = await network.account(host);
    network.plc.instead = (_req, res) => res.writeHead(503).end();
    await using harness = await start({
      env: { BACKFILLER_MAX_ATTEMPTS: '1' },
      tuning: { directoryLaterMs: 500 },
    });
    await harness.add({ did: account.did });
    await until(
      'it is put off',
      async () => (await harness.redis.zcard(keyOf('repo_backfill:later'))) === 1,
      10_000,
    );
    network.plc.instead = undefined;
    await harness.idle();
    expect((await harness.sentOf(account.did)).length).toBe(4);
    expect(await harness.count('backfiller_failures_total')).toBe(0);
  });
});

describe('our own infrastructure', () => {
  it('a database without tables is waited for, and costs no repo a try', async () => {
    await using empty = await createDatabase('template0');
    const account = await network.account(await network.host());
    await using harness = await start({ databaseUrl: empty.url });
    await harness.add({ did: account.did });
    await until('it says so', async () => (await harness.ready()).migrations !== true, 10_000);
    expect(await harness.redis.xlen('repo_backfill')).toBe(1);
    await migrate(empty.url);
    await harness.idle();
    expect((await harness.sentOf(account.did)).length).toBe(4);
    expect(await harness.count('backfiller_failures_total')).toBe(0);
    expect(await harness.ready()).toEqual({ redis: true, postgresql: true, migrations: true });
    await harness.stop();
  });

  it('connections to PostgreSQL that are cut, and a temporary folder that is gone, cost no repo a try', async () => {
    const host = await network.host();
    const accounts = [
      await network.account(host, 1500),
      await network.account(host),
      await network.account(host),
    ];
    const folder = await mkdtemp(join(tmpdir(), 'headwater-spool-'));
    const env = {
      BACKFILLER_MAX_ATTEMPTS: '1',
      BACKFILLER_SPOOL_ABOVE_BYTES: '64k',
      BACKFILLER_TMP_DIR: folder,
    };
    await using harness = await start({ env });
    await until('it runs', () => harness.ready().catch(() => undefined), 10_000);
    await rm(folder, { recursive: true });
    await harness.add({ did: accounts[0]!.did });
    await until('it was asked for', () => host.requests.length > 0, 10_000);
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'headwater repo-backfiller' AND datname = current_database()`;
    await harness.add(...accounts.slice(1).map(({ did }) => ({ did })));
    for (let i = 0; i < 5; i++) {
      await pool.query(cut);
      await sleep(20);
    }
    await mkdir(folder);
    await harness.idle();
    expect(await harness.dead()).toEqual({});
    expect(await harness.count('backfiller_failures_total')).toBe(0);
    expect((await harness.output()).flat().length).toBe(1501 + 4 + 4);
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });
});

it('entries that are no jobs go to the dead letters at once; the others go on', async () => {
  const account = await network.account(await network.host());
  await using harness = await start();
  await harness.redis.xadd('repo_backfill', '*', 'repo', '{"did":');
  await harness.redis.xadd('repo_backfill', '*', 'repo', '{"did":"nobody"}');
  await harness.redis.xadd('repo_backfill', '*', 'repo', JSON.stringify({ did: 'did:plc:a\0b' }));
  await harness.redis.xadd('repo_backfill', '*', 'something', 'else');
  await harness.add({ did: account.did });
  await harness.idle();
  expect(Object.values(await harness.dead()).sort()).toEqual([
    'bad-field',
    'bad-field',
    'no-field',
    'not-json',
  ]);
  expect((await harness.sentOf(account.did)).length).toBe(4);
});

it('repos that were found out of step come before those of an enumeration', async () => {
  const host = await network.host();
  const accounts = await Promise.all(Array.from({ length: 20 }, () => network.account(host, 1)));
  await using harness = harnessOf({ env: { BACKFILLER_CONCURRENCY: '1', BACKFILLER_BATCH_SIZE: '1' } });
  await empty(harness.redis);
  const last = accounts.pop()!;
  await harness.add(...accounts.map(({ did }) => ({ did })));
  await harness.redis.xadd(
    keyOf('repo_backfill:urgent'),
    '*',
    'repo',
    JSON.stringify({ did: last.did, reason: 'gap' }),
  );
  harness.start();
  await harness.idle();
  const at = host.requests.findIndex((url) => url.includes(last.did));
  expect(at).toBeGreaterThanOrEqual(0);
  expect(at).toBeLessThan(3);
});

it('what is under way at the end is finished, what waits is handed back', async () => {
  const host = await network.host();
  const accounts = await Promise.all(Array.from({ length: 6 }, () => network.account(host, 1)));
  const asked = Promise.withResolvers<void>();
  host.instead = (_req, res, url) => {
    const { car } = network.accounts.get(url.searchParams.get('did')!)!;
    setTimeout(() => sendCar(res, car), 300);
    asked.resolve();
  };
  {
    await using harness = await start({ env: { BACKFILLER_CONCURRENCY: '1' } });
    await harness.add(...accounts.map(({ did }) => ({ did })));
    await asked.promise;
  }
  const before = host.requests.length;
  await using harness = harnessOf();
  expect((await harness.output()).length).toBe(before);
  host.instead = undefined;
  const started = Date.now();
  harness.start();
  await harness.idle();
  // Not after the time in which a dead process's entries are taken over.
  expect(Date.now() - started).toBeLessThan(10_000);
  expect((await harness.output()).length).toBe(6);
});

/** The CAR up to its last block: cut at a boundary, so that only the tree tells. */
function withoutLastBlock(car: Uint8Array): Uint8Array {
  const starts: number[] = [];
  for (let at = 0; at < car.length; ) {
    starts.push(at);
    let length = 0;
    let shift = 0;
    for (;;) {
      const byte = car[at++]!;
      length += (byte & 0x7f) * 2 ** shift;
      shift += 7;
      if (byte < 0x80) break;
    }
    at += length;
  }
  return car.subarray(0, starts.at(-1));
}
