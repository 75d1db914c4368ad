import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { empty, keyOf } from '../support/redis.ts';
import { FakeHost, json } from './fake-host.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

const done = '!ingester-done';
let streams: Streams;
let relay: FakeHost;

beforeAll(async () => {
  streams = await startStreams();
});
afterAll(() => streams[Symbol.asyncDispose]());
beforeEach(async () => {
  await empty(streams.redis);
  relay = await FakeHost.start();
});
afterEach(() => relay[Symbol.asyncDispose]());

const start = (env: Record<string, string> = {}) =>
  startIngester(streams.server.url, { INGESTER_RELAY_HOSTS: relay.host, INGESTER_MODE: 'backfill', ...env });
const cursor = () => streams.redis.get(keyOf(`repo_backfill:cursor:${relay.host}`));
const dids = async () => (await streams.jobs()).map(({ did }) => did);
const repos = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ did: `did:web:r${from + i}.test` }));
const asked = () =>
  relay.requests
    .filter((url) => url.pathname.endsWith('.listRepos'))
    .map((url) => [url.searchParams.get('cursor'), Number(url.searchParams.get('limit'))]);

it('lists in pages of 1,000, each with its cursor, and ends with its mark', async () => {
  relay.repos = repos(0, 2500);
  start({ INGESTER_RELIST_MS: '3600000' });
  await eventually(cursor).toBe(done);
  expect(await dids()).toEqual(relay.repos.map(({ did }) => did));
  expect(asked()).toEqual([
    [null, 1000],
    ['1000', 1000],
    ['2000', 1000],
  ]);
  expect(await streams.redis.get(keyOf(`repo_backfill:resume:${relay.host}`))).toBe('2000');
});

it('finds new repos at a new look, without the ones it knows', async () => {
  relay.repos = repos(0, 1500);
  const { stop } = start();
  await eventually(cursor).toBe(done);
  relay.repos.push(...repos(1500, 1503));
  await eventually(async () => (await dids()).length).toBe(1503);
  await stop();
  relay.repos.push(...repos(1503, 3200));
  start();
  await eventually(async () => new Set(await dids()).size).toBe(3200);
  // A start does not know what the last page had before; the pages before it are not asked for again.
  expect(asked().filter(([from]) => from === null)).toHaveLength(1);
});

it('takes a page that fails for ever apart and skips one entry', async () => {
  relay.repos = repos(0, 1500);
  relay.onRequest = (url, response) => {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    if (from > 1203 || from + Number(url.searchParams.get('limit')) <= 1203) return false;
    response.writeHead(500).end('<html>');
    return true;
  };
  const { metric } = start();
  await eventually(cursor).toBe(done);
  expect(await dids()).toEqual(relay.repos.filter((_, i) => i !== 1203).map(({ did }) => did));
  const skipped = await streams.redis.lrange(keyOf(`repo_backfill:skipped:${relay.host}`), 0, -1);
  expect(skipped.map((text) => JSON.parse(text))).toMatchObject([{ from: '1203', to: '1204', kind: 'http' }]);
  expect(await metric('list_skips_total')).toBe(1);
});

it('goes on past empty pages and pages of inactive repos', async () => {
  const pages: Record<string, object> = {
    '': { cursor: 'a', repos: [] },
    a: { cursor: 'b', repos: [{ did: 'did:web:gone.test', rev: '', active: false, status: 'takendown' }] },
    b: { cursor: 'c', repos: [] },
    c: { repos: [{ did: 'did:web:here.test', rev: '3k', active: true }, { did: 'rubbish' }] },
  };
  relay.onRequest = (url, response) => {
    json(response, 200, pages[url.searchParams.get('cursor') ?? '']);
    return true;
  };
  const { metric } = start();
  await eventually(cursor).toBe(done);
  expect(await streams.jobs()).toEqual([
    { did: 'did:web:gone.test', host: relay.host, rev: '', active: false, status: 'takendown' },
    { did: 'did:web:here.test', host: relay.host, rev: '3k', active: true },
  ]);
  expect(await metric('listed_repos_total', { state: 'unusable' })).toBeGreaterThan(0);
});

it('ends a look when cursors come round, politely', async () => {
  relay.onRequest = (url, response) => {
    const from = Number(url.searchParams.get('cursor') ?? 0);
    json(response, 200, {
      cursor: String((from + 1) % 7),
      repos: [{ did: `did:web:r${from}.test`, rev: '' }],
    });
    return true;
  };
  const { metric } = start({ INGESTER_RELIST_MS: '3600000' });
  await eventually(() => metric('list_loops_total')).toBe(1);
  const requests = relay.requests.length;
  expect(requests).toBeLessThan(30);
  expect(await metric('enumerations', { state: 'stuck' })).toBe(1);
  expect(new Set(await dids()).size).toBe(7);
});

it('waits as long as it is told, and takes a 429 for no failure', async () => {
  relay.repos = repos(0, 10);
  let refused = 0;
  relay.onRequest = (_, response) => {
    if (refused++ === 12) return false;
    response.writeHead(429, { 'content-type': 'text/html' }).end('<html>Too many requests');
    return true;
  };
  const { metric } = start();
  await eventually(cursor).toBe(done);
  expect(await metric('list_errors_total', { kind: 'rate-limited' })).toBe(12);
  expect(asked().every(([, limit]) => limit === 1000)).toBe(true);
});

it('says what is missing where a cursor can not be skipped, once', async () => {
  relay.onRequest = (url, response) => {
    if (url.searchParams.get('cursor') === 'opaque') response.writeHead(500).end();
    else json(response, 200, { cursor: 'opaque', repos: [{ did: 'did:web:r.test', rev: '' }] });
    return true;
  };
  const { metric } = start({ INGESTER_RELIST_MS: '100' });
  const key = keyOf(`repo_backfill:skipped:${relay.host}`);
  await eventually(() => streams.redis.llen(key)).toBe(1);
  const before = relay.requests.length;
  await eventually(() => relay.requests.length).toBeGreaterThan(before + 20);
  expect(await streams.redis.llen(key)).toBe(1);
  expect(JSON.parse((await streams.redis.lindex(key, 0))!)).toMatchObject({ from: 'opaque' });
  expect(await cursor()).toBe('opaque');
  expect(await metric('list_skips_total')).toBe(1);
});

it('never has a cursor without its page, wherever it is killed', async () => {
  relay.repos = repos(0, 20_000);
  for (let run = 0; run < 4; run++) {
    const { stop } = start();
    await eventually(() => relay.requests.length).toBeGreaterThan(run * 4 + 1);
    await stop();
    const at = Number(await cursor());
    const have = new Set(await dids());
    for (const { did } of relay.repos.slice(0, at)) expect(have.has(did)).toBe(true);
  }
});

it('starts afresh when events were missed', async () => {
  relay.repos = repos(0, 1200);
  start();
  await eventually(cursor).toBe(done);
  await streams.redis.set(keyOf(`repo_backfill:relist:${relay.host}`), 'operator');
  await eventually(async () => (await dids()).length).toBe(2400);
  expect(await streams.redis.exists(keyOf(`repo_backfill:relist:${relay.host}`))).toBe(0);
});

it('takes the repos of INGESTER_DIDS without listing, with what the host says of them', async () => {
  relay.onRequest = (url, response) => {
    const did = url.searchParams.get('did');
    if (did === 'did:web:known.test') json(response, 200, { did, active: true, rev: '3k' });
    else json(response, 400, { error: 'RepoNotFound' });
    return true;
  };
  start({ INGESTER_DIDS: 'did:web:known.test,did:web:unknown.test' });
  await eventually(async () => (await dids()).length).toBe(2);
  expect(await streams.jobs()).toEqual([
    { did: 'did:web:known.test', host: relay.host, rev: '3k', active: true },
    { did: 'did:web:unknown.test', host: relay.host, rev: '', active: true },
  ]);
  expect(relay.requests.some((url) => url.pathname.endsWith('listRepos'))).toBe(false);
});

it('chooses repos by collection', async () => {
  relay.onRequest = (url, response) => {
    const collection = url.searchParams.get('collection');
    json(response, 200, {
      repos: [{ did: `did:web:${collection === 'app.bsky.feed.post' ? 'p' : 'l'}.test` }],
    });
    return true;
  };
  start({ INGESTER_COLLECTIONS: 'app.bsky.feed.post,app.bsky.feed.like' });
  await eventually(async () => (await dids()).sort()).toEqual(['did:web:l.test', 'did:web:p.test']);
  expect(relay.requests.every((url) => url.pathname.endsWith('listReposByCollection'))).toBe(true);
});

it('waits at the high-water mark and goes on where it was', async () => {
  relay.repos = repos(0, 5000);
  const { metric } = start({ INGESTER_HIGH_WATER_MARK: '2500' });
  await eventually(() => streams.redis.xlen('repo_backfill')).toBe(3000);
  await eventually(() => metric('stream_backpressure', { stream: 'repo_backfill' })).toBe(1);
  // The fourth page is read and waits, and so does its cursor.
  expect(relay.requests.length).toBe(4);
  expect(await cursor()).toBe('3000');
  await streams.redis.xtrim('repo_backfill', 'MAXLEN', 0);
  await eventually(cursor).toBe(done);
  expect(await dids()).toHaveLength(2000);
});

it('lets one of two copies list', async () => {
  relay.repos = repos(0, 3000);
  const first = start({ INGESTER_RELIST_MS: '3600000' });
  const second = start({ INGESTER_RELIST_MS: '3600000' });
  await eventually(cursor).toBe(done);
  expect(await dids()).toHaveLength(3000);
  expect((await first.metric('list_pages_total')) * (await second.metric('list_pages_total'))).toBe(0);
});
