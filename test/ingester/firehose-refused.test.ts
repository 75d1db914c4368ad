import { dead } from '@headwater/streams';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { empty, keyOf } from '../support/redis.ts';
import { FakeHost } from './fake-host.ts';
import { Author, frame, postOp } from './frames.ts';
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
const types = async () => (await streams.live()).map((events) => events.map(({ type }) => type));

describe('what can not be believed', () => {
  it('is set aside once; its neighbours and the cursor go on', async () => {
    const [author, forger] = await Promise.all([Author.create('c'), Author.create('d')]);
    const omitted = await forger.commitBody(4, [postOp(1), postOp(2)]);
    const stolen = await forger.commitBody(6, [postOp(3)]);
    const ahead = await forger.commitBody(8, [postOp(4)]);
    relay.push(
      await author.post(1),
      { seq: 2, bytes: Buffer.from('not cbor at all') },
      await author.post(3),
      { seq: 4, bytes: frame('#commit', { ...omitted, ops: (omitted['ops'] as unknown[]).slice(0, 1) }) },
      await author.post(5),
      { seq: 6, bytes: frame('#commit', { ...stolen, repo: author.did }) },
      { seq: 7, bytes: frame('#commit', { seq: 7, repo: author.did, time: time() }) },
      { seq: 8, bytes: frame('#commit', { ...ahead, rev: '3zzzzzzzzzzzz' }) },
      await author.post(9),
    );
    await setCursor(0);
    const { metric } = start();
    await eventually(cursor).toBe('9');
    // Of what is not believed nothing goes on but that the repo it names may be ahead of us.
    expect(await seqs()).toEqual([1, 3, 4, 5, 6, 9]);
    const doubtful = (await streams.live()).filter(([event]) => [4, 6].includes(event!.seq));
    expect(doubtful).toEqual([
      [expect.objectContaining({ type: 'repo', sync: true, did: forger.did, rev: omitted['rev'] })],
      [expect.objectContaining({ type: 'repo', sync: true, did: author.did, rev: stolen['rev'] })],
    ]);
    expect(doubtful.flat().some((event) => 'data' in event)).toBe(false);
    const { letters } = await dead.list(streams.redis, 'firehose_live');
    expect(letters.map(({ reason, sourceId, source }) => [reason, sourceId, source])).toEqual([
      [expect.stringMatching(/^bad-|truncated/), '', relay.host],
      ['bad-inversion', '4', relay.host],
      ['wrong-did', '6', relay.host],
      ['bad-frame', '7', relay.host],
    ]);
    expect(Buffer.from(letters[0]!.fields['frame']!, 'base64').toString()).toBe('not cbor at all');
    expect(await metric('drops_total', { reason: 'future-rev' })).toBe(1);
    // Each causes a repair of the repo that it names.
    const repaired = (await streams.jobs(keyOf('repo_backfill:urgent'))).map(({ did }) => did);
    expect(new Set(repaired)).toEqual(new Set([author.did, forger.did]));
  });

  it('never fills Redis: large frames are cut, letters are bounded', async () => {
    relay.push({ seq: 1, bytes: Buffer.alloc(6_000_000) }, await (await Author.create('e')).post(2));
    await setCursor(0);
    start();
    await eventually(cursor).toBe('2');
    const { letters } = await dead.list(streams.redis, 'firehose_live');
    expect(letters[0]).toMatchObject({ reason: 'too-large', fields: { bytes: '6000000' } });
    expect(letters[0]!.fields['frame']!.length).toBeLessThan(100_000);
  });

  it('leaves one bad record out and keeps the rest of its commit', async () => {
    const author = await Author.create('f');
    const bad = { ...postOp(2), record: { $type: 'app.bsky.feed.post', text: 'x', deep: nest(300) } };
    relay.push(await author.commit(1, [postOp(1), bad, postOp(3)]));
    await setCursor(0);
    const { metric } = start();
    await eventually(cursor).toBe('1');
    expect(await types()).toEqual([['create', 'create']]);
    expect(await metric('drops_total')).toBe(1);
  });
});

function nest(depth: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < depth; i++) value = [value];
  return value;
}
