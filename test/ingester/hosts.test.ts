import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { empty, keyOf } from '../support/redis.ts';
import { FakeHost, json } from './fake-host.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

/** Hosts that a relay names, each listed by itself. */
let streams: Streams;
let relay: FakeHost;
let host: FakeHost;
beforeAll(async () => {
  streams = await startStreams();
});
afterAll(() => streams[Symbol.asyncDispose]());
beforeEach(async () => {
  await empty(streams.redis);
  [relay, host] = await Promise.all([FakeHost.start(), FakeHost.start()]);
});
afterEach(() => Promise.all([relay, host].map((one) => one[Symbol.asyncDispose]())));

it('a host that makes DIDs up lists so many in one look, and the rest in the next', async () => {
  host.repos = Array.from({ length: 13_000 }, (_, i) => ({ did: `did:web:r${i}.test` }));
  relay.onRequest = (url, response) => {
    if (!url.pathname.endsWith('.listHosts')) return false;
    json(response, 200, { hosts: [{ hostname: host.host, status: 'active', accountCount: 3 }] });
    return true;
  };
  const { metric } = startIngester(streams.server.url, {
    INGESTER_RELAY_HOSTS: relay.host,
    INGESTER_MODE: 'backfill',
    INGESTER_HOSTS_RELIST_MS: '3600000',
  });
  const looks = (outcome: string) => metric('host_looks_total', { outcome });
  await eventually(() => looks('more-than-expected')).toBe(1);
  expect(await streams.redis.xlen('repo_backfill')).toBe(10_000);
  expect(await streams.redis.get(keyOf(`repo_backfill:cursor:${host.host}`))).toBe('10000');
  // Due again.
  await streams.redis.zadd(keyOf(`repo_backfill:hosts:${relay.host}`), 0, host.host);
  await eventually(() => looks('done')).toBe(1);
  const dids = (await streams.jobs()).map(({ did }) => did);
  expect([dids.length, new Set(dids).size]).toEqual([13_000, 13_000]);
});
