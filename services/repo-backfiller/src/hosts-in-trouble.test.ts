import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { migrate } from '@headwater/database';
import { sleep } from '@headwater/ops';
import { describe, expect, it } from 'vitest';
import { createDatabase } from '../../../test/support/index.ts';
import { keyOf } from '../../../test/support/redis.ts';
import { until } from '../../../test/support/wait.ts';
import { sendCar, sendError, sendJson } from './testing/fake-network.ts';
import { useBackfiller } from './testing/suite.ts';

/** Hosts, directories and servers of our own that fail: what waits, and what goes on. */
const used = useBackfiller();
const { harnessOf, start } = used;

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
    const host = await used.network.host();
    const accounts = await Promise.all([1, 2, 3].map(() => used.network.account(host)));
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
    const host = await used.network.host();
    const account = await used.network.account(host);
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
    const host = await used.network.host();
    const account = await used.network.account(host);
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
    const host = await used.network.host();
    const accounts = await Promise.all(Array.from({ length: 8 }, () => used.network.account(host)));
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
    const host = await used.network.host();
    const [first, second] = [await used.network.account(host), await used.network.account(host)];
    host.instead = (_req, res) => sendError(res, 429, 'RateLimitExceeded', { 'retry-after': '2' });
    const started = Date.now();
    {
      await using harness = await start();
      await harness.add({ did: first.did });
      await until('it waits', async () => (await harness.redis.zcard(keyOf('repo_backfill:later'))) === 1);
    }
    host.instead = undefined;
    await using harness = harnessOf().start();
    await harness.add({ did: second.did });
    await until('both are sent', async () => (await harness.output()).length === 2);
    expect(Date.now() - started).toBeGreaterThan(1900);
    expect(host.requests.length).toBe(3);
  });

  it('many entries of a slow host do not hold up those of another behind them', async () => {
    const [slow, fast] = [await used.network.host(), await used.network.host()];
    const slows = await Promise.all(Array.from({ length: 120 }, () => used.network.account(slow, 1)));
    const fasts = await Promise.all(Array.from({ length: 30 }, () => used.network.account(fast, 1)));
    const others = Promise.withResolvers<void>();
    slow.instead = (_req, res, url) => {
      const { car } = used.network.accounts.get(url.searchParams.get('did')!)!;
      void others.promise.then(() => sendCar(res, car));
    };
    await using harness = await start({
      env: { BACKFILLER_CONCURRENCY: '6', BACKFILLER_HOST_CONCURRENCY: '3' },
    });
    await harness.add(...[...slows, ...fasts].map(({ did }) => ({ did })));
    await until('the fast ones are sent', async () => fast.requests.length === 30, 60_000);
    // In the order of the stream all of them would have come first.
    expect(slow.requests.length).toBeLessThan(slows.length / 2);
    others.resolve();
  });

  it('without the PLC directory entries are put off and nothing is counted against them', async () => {
    const host = await used.network.host();
    const account = await used.network.account(host);
    used.network.plc.instead = (_req, res) => res.writeHead(503).end();
    await using harness = await start({
      env: { BACKFILLER_MAX_ATTEMPTS: '1' },
      tuning: { directoryLaterMs: 500 },
    });
    await harness.add({ did: account.did });
    await until('it is put off', async () => (await harness.redis.zcard(keyOf('repo_backfill:later'))) === 1);
    used.network.plc.instead = undefined;
    await harness.idle();
    expect((await harness.sentOf(account.did)).length).toBe(4);
    expect(await harness.count('backfiller_failures_total')).toBe(0);
  });
});

describe('our own infrastructure', () => {
  it('a database without tables is waited for, and costs no repo a try', async () => {
    await using empty = await createDatabase('template0');
    const account = await used.network.account(await used.network.host());
    await using harness = await start({ databaseUrl: empty.url });
    await harness.add({ did: account.did });
    await until('it says so', async () => (await harness.ready()).migrations !== true);
    expect(await harness.redis.xlen('repo_backfill')).toBe(1);
    await migrate(empty.url);
    await harness.idle();
    expect((await harness.sentOf(account.did)).length).toBe(4);
    expect(await harness.count('backfiller_failures_total')).toBe(0);
    expect(await harness.ready()).toEqual({ redis: true, postgresql: true, migrations: true });
    await harness.stop();
  });

  it('connections to PostgreSQL that are cut, and a temporary folder that is gone, cost no repo a try', async () => {
    const host = await used.network.host();
    const accounts = [
      await used.network.account(host, 1500),
      await used.network.account(host),
      await used.network.account(host),
    ];
    const folder = await mkdtemp(join(tmpdir(), 'headwater-spool-'));
    const env = {
      BACKFILLER_MAX_ATTEMPTS: '1',
      BACKFILLER_SPOOL_ABOVE_BYTES: '64k',
      BACKFILLER_TMP_DIR: folder,
    };
    await using harness = await start({ env });
    await until('it runs', () => harness.ready().catch(() => undefined));
    await rm(folder, { recursive: true });
    await harness.add({ did: accounts[0]!.did });
    await until('it was asked for', () => host.requests.length > 0);
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'headwater repo-backfiller' AND datname = current_database()`;
    await harness.add(...accounts.slice(1).map(({ did }) => ({ did })));
    for (let i = 0; i < 5; i++) {
      await used.pool.query(cut);
      // Time for new connections to be at work, which are cut then.
      await sleep(20);
    }
    await mkdir(folder);
    await harness.idle();
    expect(await harness.dead()).toEqual({});
    expect(await harness.count('backfiller_failures_total')).toBe(0);
    // All of each repo. One whose connection is cut after it was sent, and before that is noted, is sent again.
    const sent = new Map<string, number>();
    for (const event of (await harness.output()).flat()) {
      const what = JSON.stringify([event.did, 'rkey' in event ? [event.collection, event.rkey] : event.type]);
      sent.set(what, (sent.get(what) ?? 0) + 1);
    }
    expect(sent.size).toBe(1501 + 4 + 4);
    const times = Map.groupBy(sent, ([what]) => JSON.parse(what)[0] as string);
    for (const [did, of] of times) expect(new Set(of.map(([, n]) => n)).size, did).toBe(1);
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });
});
