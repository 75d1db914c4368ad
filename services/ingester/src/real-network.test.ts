import { decodeEvents, decodeRepoJob, type RepoJob, type StreamEvent } from '@headwater/events';
import { createLogger, loadSettings, Metrics } from '@headwater/ops';
import { connect, type Redis, readCursor } from '@headwater/streams';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../../../test/ingester/run.ts';
import { startRedis, type TestRedis } from '../../../test/support/index.ts';
import { type Network, startNetwork } from '../../../test/support/network.ts';
import { keyOf } from '../../../test/support/redis.ts';
import { enumerationDone, runIngester } from './index.ts';

let network: Network;
let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  [network, server] = await Promise.all([startNetwork(), startRedis()]);
  redis = connect(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await Promise.all([network?.stop(), server?.stop()]);
});

/** Runs the service in this process until the test ends or `stop` is called. */
function start(env: Record<string, string>) {
  const settings = loadSettings('ingester', {
    REDIS_URL: server.url,
    INGESTER_RELAY_HOSTS: network.pdsUrl,
    INGESTER_LABELER_HOSTS: ',',
    INGESTER_BATCH_TIMEOUT_MS: '20',
    INGESTER_RELIST_MS: '200',
    INGESTER_LEASE_MS: '1000',
    PLC_URL: network.plcUrl,
    METRICS_PORT: '0',
    ...env,
  });
  const control = new AbortController();
  const metrics = new Metrics('ingester');
  const done = runIngester(
    {
      settings: { ...settings, metricsPort: 0 },
      signal: control.signal,
      log: createLogger('test', process.env['LOG_LEVEL'] ?? 'silent'),
      metrics,
    },
    { pause: { baseMs: 10, maxMs: 100 } },
  );
  const stop = async () => {
    control.abort();
    await done;
  };
  onTestFinished(stop);
  return { stop, metrics };
}

async function jobs(): Promise<RepoJob[]> {
  return (await redis.xrange('repo_backfill', '-', '+')).map(([, flat]) => decodeRepoJob(fields(flat)));
}

async function live(): Promise<StreamEvent[][]> {
  return (await redis.xrange('firehose_live', '-', '+')).map(([, flat]) => decodeEvents(fields(flat)));
}

function fields(flat: string[]): Record<string, string> {
  return Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]!]] : [])));
}

const key = () => network.pdsUrl;

describe('a real PDS', () => {
  it('is enumerated, and a new look finds new accounts only', async () => {
    const accounts = await Promise.all([1, 2, 3].map(() => network.createAccount()));
    const inactive = accounts[1]!;
    await inactive.agent.com.atproto.server.deactivateAccount({});
    const ingester = start({ INGESTER_MODE: 'backfill' });
    await eventually(() => readCursor(redis, 'repo_backfill', key())).toBe(enumerationDone);
    const first = await jobs();
    expect(first.map(({ did }) => did).sort()).toEqual(accounts.map(({ did }) => did).sort());
    expect(first.find(({ did }) => did === inactive.did)).toMatchObject({
      active: false,
      status: 'deactivated',
    });
    expect(first[0]).toMatchObject({ host: key(), rev: expect.stringMatching(/^[2-7a-z]{13}$/) });

    const late = await network.createAccount();
    await eventually(async () => (await jobs()).length).toBe(4);
    expect((await jobs())[3]!.did).toBe(late.did);
    await ingester.stop();

    const again = start({ INGESTER_MODE: 'backfill' });
    await eventually(
      async () => (await again.metrics.registry.metrics()).match(/list_pages_total\S* (\d+)/)?.[1],
    ).toMatch(/[1-9]/);
    expect(await jobs()).toHaveLength(4);
  });

  it('is followed: one entry a commit, cursor at the newest', async () => {
    const account = await network.createAccount();
    const { metrics } = start({ INGESTER_MODE: 'firehose', INGESTER_DIDS: account.did });
    await eventually(() => metrics.registry.metrics()).toContain(
      'headwater_ingester_connected{feed="firehose",service="ingester"} 1',
    );
    const post = await account.post('hello');
    await account.create('com.example.other', { text: 'not wanted' });
    await account.like(post);
    await account.delete(post);
    await account.agent.com.atproto.server.deactivateAccount({});
    const newest = await network.waitForSequencer();
    await eventually(() => readCursor(redis, 'firehose_live', key())).toBe(String(newest));
    // What the PDS says of a new account (identity, account, first commit, sync) comes before.
    const entries = (await live()).slice(-5);
    expect(entries.map((events) => events.map(({ type }) => type))).toEqual([
      ['create'],
      ['repo'],
      ['create'],
      ['delete'],
      ['account'],
    ]);
    const [create, other, like, gone] = entries.map(([event]) => event!);
    expect(create).toMatchObject({
      did: account.did,
      collection: 'app.bsky.feed.post',
      cid: post.cid,
      record: { $type: 'app.bsky.feed.post', text: 'hello' },
    });
    // The chain holds together: each commit names the one before.
    for (const [before, after] of [
      [create, other],
      [other, like],
      [like, gone],
    ]) {
      expect(after).toMatchObject({ since: (before as { rev: string }).rev, prevData: before!.data });
    }
    expect(entries[4]![0]).toMatchObject({ type: 'account', active: false, status: 'deactivated' });
  });

  it('that has started its sequence again is followed live, and listed again', async () => {
    const account = await network.createAccount();
    await network.waitForSequencer();
    await redis.set(keyOf(`firehose_live:cursor:${key()}`), '999999');
    start({ INGESTER_MODE: 'firehose' });
    await eventually(() => redis.exists(keyOf(`repo_backfill:relist:${key()}`))).toBe(1);
    // What is posted before the next connection is live comes by the listing, not by the stream.
    const follows = async () => {
      await account.post('after');
      const cursor = await readCursor(redis, 'firehose_live', key());
      return cursor !== null && cursor !== '999999';
    };
    await expect.poll(follows, { timeout: 25_000, interval: 200 }).toBe(true);
    const newest = await network.waitForSequencer();
    await eventually(() => readCursor(redis, 'firehose_live', key())).toBe(String(newest));
  });
});
