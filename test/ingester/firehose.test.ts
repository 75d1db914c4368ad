import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { empty, keyOf } from '../support/redis.ts';
import { FakeHost } from './fake-host.ts';
import { Author, errorFrame, frame, postOp } from './frames.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

let streams: Streams;
let relay: FakeHost;

beforeAll(async () => {
  streams = await startStreams({ aof: true });
});
afterAll(() => streams[Symbol.asyncDispose]());
beforeEach(async () => {
  await empty(streams.redis);
  relay = await FakeHost.start();
});
afterEach(() => relay[Symbol.asyncDispose]());

const start = (env: Record<string, string> = {}) =>
  startIngester(streams.server.url, { INGESTER_RELAY_HOSTS: relay.host, INGESTER_MODE: 'firehose', ...env });
const cursorKey = () => keyOf(`firehose_live:cursor:${relay.host}`);
const cursor = () => streams.redis.get(cursorKey());
const setCursor = (value: number) => streams.redis.set(cursorKey(), value);
const time = () => new Date().toISOString();
const seqs = async () => (await streams.live()).map(([event]) => event!.seq);

describe('events', () => {
  it('have one entry a commit, with what came before it', async () => {
    const author = await Author.create('a');
    const bodies = [
      await author.commitBody(1, [postOp(1), postOp(2)]),
      await author.commitBody(2, [
        { ...postOp(1), action: 'delete' },
        { ...postOp(2, 'new'), action: 'update' },
      ]),
      await author.commitBody(3, [{ ...postOp(9), collection: 'com.example.thing' }]),
    ];
    relay.push(...bodies.map((body, i) => ({ seq: i + 1, bytes: frame('#commit', body) })));
    await setCursor(0);
    start();
    await eventually(cursor).toBe('3');
    const [first, second, third] = await streams.live();
    expect(first).toEqual([
      {
        type: 'create',
        seq: 1,
        time: bodies[0]!['time'],
        did: author.did,
        commit: String(bodies[0]!['commit']),
        rev: bodies[0]!['rev'],
        collection: 'app.bsky.feed.post',
        rkey: postOp(1).rkey,
        cid: expect.stringMatching(/^bafyrei/),
        since: bodies[0]!['since'],
        prevData: String(bodies[0]!['prevData']),
        data: expect.stringMatching(/^bafyrei/),
        record: postOp(1).record,
      },
      expect.not.objectContaining({ data: expect.anything() }),
    ]);
    expect(second!.map(({ type }) => type).sort()).toEqual(['delete', 'update']);
    expect(second![0]).toMatchObject({ since: bodies[0]!['rev'], prevData: first![0]!.data });
    // The filter leaves nothing of the third, and the chain still holds.
    expect(third).toEqual([
      expect.objectContaining({
        type: 'repo',
        rev: bodies[2]!['rev'],
        since: bodies[1]!['rev'],
        prevData: second![0]!.data,
      }),
    ]);
  });

  it('of other types are passed on, and repos that are out of step sent back', async () => {
    const [author, synced] = await Promise.all([Author.create('b'), Author.create('b-synced')]);
    await author.commitBody(0, [postOp(1)]);
    relay.push(
      { seq: 1, bytes: frame('#identity', { seq: 1, did: author.did, time: time(), handle: 'b.test' }) },
      {
        seq: 2,
        bytes: frame('#account', { seq: 2, did: author.did, time: time(), active: false, status: 'deleted' }),
      },
      { seq: 3, bytes: frame('#sync', await synced.syncBody(3)) },
      {
        seq: 4,
        bytes: frame('#commit', { ...(await author.commitBody(4, [postOp(2)])), tooBig: true, ops: [] }),
      },
      { seq: 5, bytes: frame('#future', { seq: 5, did: author.did }) },
    );
    await setCursor(0);
    const { metric } = start();
    await eventually(cursor).toBe('5');
    const events = (await streams.live()).flat();
    expect(events).toMatchObject([
      { type: 'identity', seq: 1, handle: 'b.test' },
      { type: 'account', seq: 2, active: false, status: 'deleted' },
      { type: 'repo', seq: 3, sync: true, data: expect.stringMatching(/^bafy/) },
      { type: 'repo', seq: 4, sync: true, rev: author.rev },
    ]);
    expect(await streams.jobs(keyOf('repo_backfill:urgent'))).toMatchObject([
      { did: synced.did, host: relay.host, rev: synced.rev, reason: 'desync' },
      { did: author.did, host: relay.host, rev: author.rev, reason: 'desync' },
    ]);
    expect(await metric('drops_total', { reason: 'unknown-type' })).toBe(1);
    expect(await metric('drops_total', { reason: 'too-big' })).toBe(1);
  });
});

describe('connections', () => {
  it('go on from the cursor after every kind of end', async () => {
    const author = await Author.create('g');
    for (let seq = 1; seq <= 40; seq++) relay.frames.push(await author.post(seq));
    const ends = [
      (socket: { terminate(): void }) => socket.terminate(),
      (socket: { close(code: number): void }) => socket.close(1000),
      (socket: { send(data: Uint8Array): void; close(): void }) => {
        socket.send(errorFrame('ConsumerTooSlow', 'too slow'));
        socket.close();
      },
      (socket: { send(data: Uint8Array): void; close(): void }) => socket.send(errorFrame('SomethingNew')),
    ];
    relay.onSubscribe = (socket, at) => {
      for (const { seq, bytes } of relay.frames.filter(({ seq }) => seq > Number(at)).slice(0, 8)) {
        void seq;
        socket.send(bytes);
      }
      ends[(relay.cursors.length - 1) % ends.length]!(socket);
    };
    await setCursor(0);
    const { metric } = start();
    await eventually(cursor).toBe('40');
    expect([...new Set(await seqs())]).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    for (const reason of ['network', 'closed', 'ConsumerTooSlow', 'other-fault']) {
      expect([reason, await metric('reconnects_total', { reason })]).toEqual([reason, expect.any(Number)]);
      expect(await metric('reconnects_total', { reason })).toBeGreaterThan(0);
    }
  });

  it('that ping and say nothing are dead', async () => {
    const author = await Author.create('h');
    const silent = new Set<NodeJS.Timeout>();
    relay.frames.push(await author.post(1));
    relay.onSubscribe = (socket, at) => {
      if (relay.cursors.length > 1)
        for (const { seq, bytes } of relay.frames) if (seq > Number(at)) socket.send(bytes);
      const timer = setInterval(() => socket.ping(), 10);
      silent.add(timer);
      socket.on('close', () => clearInterval(timer));
    };
    await setCursor(0);
    const { metric } = start({ INGESTER_IDLE_MS: '150' });
    await eventually(cursor).toBe('1');
    expect(await metric('reconnects_total', { reason: 'timeout' })).toBeGreaterThan(0);
  });

  it('get past a frame that is too large to be received', async () => {
    const author = await Author.create('o');
    relay.frames.push(
      await author.post(1),
      { seq: 2, bytes: Buffer.alloc(17 * 2 ** 20) },
      await author.post(3),
    );
    await setCursor(0);
    const { metric } = start();
    await eventually(cursor).toBe('3');
    expect(await seqs()).toEqual([1, 3]);
    expect(await metric('drops_total', { reason: 'oversized-frame' })).toBe(1);
  });

  it('survive a restart of Redis, with nothing lost', async () => {
    const author = await Author.create('p');
    for (let seq = 1; seq <= 200; seq++) relay.frames.push(await author.identity(seq));
    relay.onSubscribe = async (socket, at) => {
      for (const { seq, bytes } of relay.frames) {
        if (seq <= Number(at)) continue;
        socket.send(bytes);
        await new Promise((resolve) => setTimeout(resolve, 4));
      }
    };
    await setCursor(0);
    start();
    await eventually(async () => Number(await cursor())).toBeGreaterThan(20);
    await streams.server.restart();
    await eventually(cursor).toBe('200');
    expect([...new Set(await seqs())]).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  });

  it('begin live and list again when the cursor is in the future', async () => {
    const author = await Author.create('i');
    const one = await author.post(1);
    relay.onSubscribe = (socket, at) => {
      if (at === null) socket.send(one.bytes);
      else socket.send(errorFrame('FutureCursor'), () => socket.close());
    };
    await setCursor(999);
    const { metric } = start();
    await eventually(cursor).toBe('1');
    expect(relay.cursors.slice(0, 2)).toEqual(['999', null]);
    expect(await metric('reconnects_total', { reason: 'FutureCursor' })).toBe(1);
    expect(await streams.redis.exists(keyOf(`repo_backfill:relist:${relay.host}`))).toBe(1);
  });

  it.each([
    ['sequence-reset', 999_999, 5],
    ['sequence-hole', 5, 999_999],
  ])('notice a silent %s', async (reason, from, seq) => {
    const author = await Author.create('j');
    const body = { ...(await author.commitBody(seq, [postOp(1)])), seq };
    relay.onSubscribe = (socket) => socket.send(frame('#commit', body));
    await setCursor(from);
    const { metric } = start();
    await eventually(cursor).toBe(String(seq));
    expect(await metric('drops_total', { reason })).toBe(1);
    expect(await streams.redis.get(keyOf(`repo_backfill:relist:${relay.host}`))).toContain(reason);
  });

  it('count what the host says of an outdated cursor, and list again', async () => {
    const author = await Author.create('k');
    relay.frames.push(
      { seq: 1, bytes: frame('#info', { name: 'OutdatedCursor', message: 'Possibly missing events' }) },
      await author.post(2),
    );
    await setCursor(0);
    const { metric } = start();
    await eventually(cursor).toBe('2');
    expect(await metric('events_total', { type: 'info-outdated-cursor' })).toBe(1);
    expect(await streams.redis.exists(keyOf(`repo_backfill:relist:${relay.host}`))).toBe(1);
  });

  it('hold the host back at the high-water mark; the cursor is never ahead, and nothing is lost', async () => {
    const author = await Author.create('l');
    for (let seq = 1; seq <= 300; seq++) relay.frames.push(await author.identity(seq));
    await setCursor(0);
    const { metric } = start({ INGESTER_HIGH_WATER_MARK: '50', INGESTER_BATCH_SIZE: '20' });
    const got: number[] = [];
    const wrong: string[] = [];
    const take = async () => {
      const waiting = (await metric('stream_backpressure')) > 0;
      if (!waiting && got.length + (await streams.redis.xlen('firehose_live')) < 300) return got.length;
      // One look at both, while the next batch waits for room.
      const look = await streams.redis.multi().get(cursorKey()).xrange('firehose_live', '-', '+').exec();
      const [at, taken] = look!.map(([, value]) => value) as [string, [string, string[]][]];
      if (taken.length > 70) wrong.push(`${taken.length} entries`);
      for (const [, flat] of taken) got.push((JSON.parse(flat[1]!) as { seq: number }).seq);
      if (Number(at) !== (got.at(-1) ?? 0)) wrong.push(`cursor ${at}, last entry ${got.at(-1)}`);
      if (taken.length > 0) await streams.redis.xdel('firehose_live', ...taken.map(([id]) => id));
      return got.length;
    };
    await eventually(take).toBe(300);
    expect(wrong).toEqual([]);
    expect(got).toEqual(Array.from({ length: 300 }, (_, i) => i + 1));
  });
});

it('gives of a repo that is not wanted nothing but the cursor', async () => {
  const [wanted, other] = await Promise.all([Author.create('m'), Author.create('n')]);
  relay.push(await wanted.post(1), await other.post(2));
  await setCursor(0);
  start({ INGESTER_DIDS: wanted.did });
  await eventually(cursor).toBe('2');
  expect(await seqs()).toEqual([1]);
});
