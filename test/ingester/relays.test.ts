import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { empty, keyOf } from '../support/redis.ts';
import { FakeHost } from './fake-host.ts';
import { Author, frame } from './frames.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

/** Several relays that say the same, each with numbers of its own. */
let streams: Streams;
let one: FakeHost;
let two: FakeHost;

beforeAll(async () => {
  streams = await startStreams();
});
afterAll(() => streams[Symbol.asyncDispose]());
beforeEach(async () => {
  await empty(streams.redis);
  [one, two] = await Promise.all([FakeHost.start(), FakeHost.start()]);
  await streams.redis.mset(cursorKey(one), 0, cursorKey(two), 1000);
});
afterEach(() => Promise.all([one, two].map((host) => host[Symbol.asyncDispose]())));

const start = (env: Record<string, string> = {}) =>
  startIngester(streams.server.url, {
    INGESTER_RELAY_HOSTS: `${one.host},${two.host}`,
    INGESTER_MODE: 'firehose',
    INGESTER_LEASE_MS: '10000',
    ...env,
  });
const cursorKey = (relay: FakeHost) => keyOf(`firehose_live:cursor:${relay.host}`);
const cursor = (relay: FakeHost) => streams.redis.get(cursorKey(relay));
const revs = async () => (await streams.live()).map(([event]) => (event as { rev: string }).rev);

interface Copy {
  rev: string;
  body: Record<string, unknown>;
}

async function commits(name: string, count: number): Promise<Copy[]> {
  const author = await Author.create(name);
  const copies: Copy[] = [];
  for (let n = 1; n <= count; n++) {
    const body = await author.commitBody(n, [
      { action: 'create', collection: 'app.bsky.feed.post', rkey: `${n}`, record: { text: `${n}` } },
    ]);
    copies.push({ rev: body['rev'] as string, body });
  }
  return copies;
}

const at = (seq: number, { body }: Copy) => ({ seq, bytes: frame('#commit', { ...body, seq }) });

describe('two relays', () => {
  it('give each commit once, in order, with both cursors at their ends', async () => {
    const all = await commits('a', 300);
    all.forEach((copy, i) => {
      one.frames.push(at(i + 1, copy));
      two.frames.push(at(i + 1001, copy));
    });
    const { metric } = start();
    await eventually(() => Promise.all([cursor(one), cursor(two)])).toEqual(['300', '1300']);
    expect(await revs()).toEqual(all.map(({ rev }) => rev));
    expect(await metric('drops_total', { reason: 'double' })).toBe(300);
    expect(await metric('statements_total')).toBe(300);
  });

  it('of which one leaves events out give all of them', async () => {
    const all = await commits('b', 60);
    all.forEach((copy, i) => {
      if (i % 3 !== 0) one.frames.push(at(one.frames.length + 1, copy));
      if (i % 3 !== 1) two.frames.push(at(two.frames.length + 1001, copy));
    });
    start();
    await eventually(() => Promise.all([cursor(one), cursor(two)])).toEqual(['40', '1040']);
    expect((await revs()).sort()).toEqual(all.map(({ rev }) => rev).sort());
  });

  it('stand for themselves: what one has spoiled the other brings', async () => {
    const [copy] = await commits('c', 1);
    const ops = [{ ...(copy!.body['ops'] as object[])[0], path: 'app.bsky.feed.post/other' }];
    one.push(at(1, { ...copy!, body: { ...copy!.body, ops } }));
    const { metric } = start();
    await eventually(() => cursor(one)).toBe('1');
    two.push(at(1001, copy!));
    await eventually(() => cursor(two)).toBe('1001');
    expect((await streams.live()).map(([event]) => event!.type)).toEqual(['repo', 'create']);
    expect(await metric('drops_total', { reason: 'double' })).toBe(0);
  });

  it('never have a cursor above an event whose first copy is not durable', async () => {
    const all = await commits('d', 20);
    all.forEach((copy, i) => {
      one.frames.push(at(i + 1, copy));
      two.frames.push(at(i + 1001, copy));
    });
    // The stream is full: first copies are in hand and can't be written.
    const { metric, stop } = start({ INGESTER_HIGH_WATER_MARK: '5', INGESTER_BATCH_SIZE: '5' });
    await eventually(() => metric('stream_backpressure')).toBeGreaterThan(0);
    const [first, second] = await Promise.all([cursor(one), cursor(two)]);
    const there = await revs();
    expect(there.length).toBeLessThan(20);
    expect(all.slice(0, Number(first)).every(({ rev }) => there.includes(rev))).toBe(true);
    expect(all.slice(0, Number(second) - 1000).every(({ rev }) => there.includes(rev))).toBe(true);
    await stop();
    await streams.redis.xtrim('firehose_live', 'MAXLEN', 0);
    start();
    await eventually(() => Promise.all([cursor(one), cursor(two)])).toEqual(['20', '1020']);
    expect(new Set([...there, ...(await revs())])).toEqual(new Set(all.map(({ rev }) => rev)));
  });

  it('go on when the one with the first copies is lost to another process', async () => {
    const all = await commits('e', 30);
    const lease = keyOf(`firehose_live:lease:${one.host}`);
    const small = { INGESTER_HIGH_WATER_MARK: '8', INGESTER_BATCH_SIZE: '4' };
    const { metric, stop } = start({ INGESTER_LEASE_MS: '1000', ...small });
    await eventually(() => streams.redis.exists(lease)).toBe(1);
    all.forEach((copy, i) => {
      one.push(at(i + 1, copy));
      two.push(at(i + 1001, copy));
    });
    await eventually(() => metric('stream_backpressure')).toBeGreaterThan(0);
    await streams.redis.set(lease, 'of another process', 'PX', 60_000);
    const seen = new Set<string>();
    const take = async () => {
      const entries = await streams.redis.xrange('firehose_live', '-', '+');
      for (const [, flat] of entries) seen.add((JSON.parse(flat[1]!) as { rev: string }).rev);
      if (entries.length > 0) await streams.redis.xdel('firehose_live', ...entries.map(([id]) => id));
      return cursor(two);
    };
    await eventually(take).toBe('1030');
    await take();
    expect(seen.size).toBe(30);
    expect(Number(await cursor(one))).toBeLessThan(30);
    await stop();
  });
});
