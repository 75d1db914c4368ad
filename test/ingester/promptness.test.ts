import { ofEachMaster } from '@headwater/streams';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { empty, keyOf } from '../support/redis.ts';
import { FakeHost } from './fake-host.ts';
import { Author } from './frames.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

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

const cursorKey = () => keyOf(`firehose_live:cursor:${relay.host}`);
const cursor = () => streams.redis.get(cursorKey());
const start = (env: Record<string, string> = {}) =>
  startIngester(streams.server.url, { INGESTER_RELAY_HOSTS: relay.host, INGESTER_MODE: 'firehose', ...env });

it('a lone event is written at once, whatever a batch may wait for', async () => {
  const author = await Author.create('prompt');
  await streams.redis.set(cursorKey(), 0);
  start({ INGESTER_BATCH_TIMEOUT_MS: '20000' });
  await eventually(() => relay.cursors.length).toBe(1);
  const took: number[] = [];
  for (let seq = 1; seq <= 20; seq++) {
    const event = await author.post(seq);
    const started = performance.now();
    relay.push(event);
    while ((await cursor()) !== String(seq)) await new Promise((resolve) => setImmediate(resolve));
    took.push(performance.now() - started);
  }
  expect(took.sort((a, b) => a - b)[10]).toBeLessThan(100);
});

/** Calls of scripts so far. */
async function scriptCalls(): Promise<number> {
  const stats = await ofEachMaster(streams.redis, (node) => node.info('commandstats'));
  const calls = stats.map((text) => Number(/cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1] ?? 0));
  return calls.reduce((sum, one) => sum + one);
}

it('under load events go in batches', async () => {
  const author = await Author.create('load');
  for (let seq = 1; seq <= 2000; seq++) relay.frames.push(await author.identity(seq));
  await streams.redis.set(cursorKey(), 0);
  const before = await scriptCalls();
  start();
  await eventually(cursor).toBe('2000');
  const made = (await scriptCalls()) - before;
  // One a frame would be 2,000; how many frames meet in a batch depends on the machine.
  expect(made).toBeGreaterThan(0);
  expect(made).toBeLessThan(1000);
});

it('the first connection of all stores where it begins, before the first event is durable', async () => {
  const author = await Author.create('first');
  const [one, two] = [await author.post(41), await author.post(42)];
  let isOpen = false;
  relay.onSubscribe = (socket, at) => {
    isOpen = true;
    if (at === null) socket.send(one.bytes);
    else for (const { seq, bytes } of [one, two]) if (seq > Number(at)) socket.send(bytes);
  };
  // Nothing can be written, then the process dies.
  await streams.redis.xadd('firehose_live', '*', 'event', '{}');
  const { stop } = start({ INGESTER_HIGH_WATER_MARK: '1' });
  await eventually(cursor).toBe('40');
  expect(isOpen).toBe(true);
  await stop();
  await streams.redis.del('firehose_live');
  start();
  await eventually(cursor).toBe('42');
  expect((await streams.live()).map(([event]) => event!.seq)).toEqual([41, 42]);
});

it('a stream that is first followed after repos were listed has them listed again', async () => {
  const author = await Author.create('late');
  const event = await author.post(7);
  relay.onSubscribe = (socket) => socket.send(event.bytes);
  await streams.redis.set(keyOf(`repo_backfill:cursor:${relay.host}`), '3000');
  start();
  await eventually(cursor).toBe('7');
  expect(await streams.redis.get(keyOf(`repo_backfill:relist:${relay.host}`))).toContain('listed before');
});

it('an enumeration begins when the live stream is followed', async () => {
  const author = await Author.create('order');
  relay.repos = [{ did: author.did }];
  const event = await author.post(7);
  let followed: string | null = null;
  relay.onSubscribe = (socket) => setTimeout(() => socket.send(event.bytes), 150);
  relay.onRequest = (url) => {
    if (url.pathname.endsWith('.listRepos')) void cursor().then((value) => (followed ??= value ?? 'not yet'));
    return false;
  };
  start({ INGESTER_MODE: 'all' });
  await eventually(() => streams.redis.get(keyOf(`repo_backfill:cursor:${relay.host}`))).toBe(
    '!ingester-done',
  );
  expect(followed).not.toBe('not yet');
  expect(await streams.redis.exists(keyOf(`repo_backfill:relist:${relay.host}`))).toBe(0);
});

it('who has lost the lease writes neither entries nor cursor', async () => {
  const author = await Author.create('fenced');
  await streams.redis.set(cursorKey(), 0);
  const { metric } = start({
    INGESTER_LEASE_MS: '60000',
    INGESTER_HIGH_WATER_MARK: '3',
    INGESTER_BATCH_SIZE: '3',
  });
  for (let seq = 1; seq <= 12; seq++) relay.push(await author.identity(seq));
  await eventually(() => relay.cursors.length).toBe(1);
  for (let seq = 13; seq <= 15; seq++) relay.push(await author.identity(seq));
  await eventually(() => metric('stream_backpressure')).toBeGreaterThan(0);
  const at = await cursor();
  // The process was frozen for long, as it were: another one has the lease.
  await streams.redis.set(keyOf(`firehose_live:lease:${relay.host}`), 'of another process');
  await streams.redis.xtrim('firehose_live', 'MAXLEN', 0);
  await eventually(() => metric('stream_backpressure')).toBe(0);
  expect(await streams.redis.xlen('firehose_live')).toBe(0);
  expect(await cursor()).toBe(at);
});
