import { verifySignature } from '@atproto/crypto';
import { encode } from '@ipld/dag-cbor';
import { expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { createNetwork, type Network } from '../index.ts';
import { didKey } from '../protocol/keys.ts';
import { type DecodedFrame, decodeFrame } from '../reference.ts';

const FIREHOSE = 'com.atproto.sync.subscribeRepos';
const LABELS = 'com.atproto.label.subscribeLabels';

/** One connection; collects its frames. */
class Reader {
  readonly frames: Buffer[] = [];
  readonly #socket: WebSocket;
  #waiting: (() => void)[] = [];
  closed = false;
  refused: number | undefined;

  constructor(url: string, nsid: string, cursor?: number) {
    this.#socket = new WebSocket(
      `${url.replace('http', 'ws')}/xrpc/${nsid}${cursor === undefined ? '' : `?cursor=${cursor}`}`,
    );
    this.#socket.on('open', () => this.#wake());
    this.#socket.on('message', (data) => {
      this.frames.push(data as Buffer);
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('unexpected-response', (request, { statusCode }) => {
      this.refused = statusCode;
      request.destroy();
      this.#wake();
    });
    this.#socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  get decoded(): DecodedFrame[] {
    return this.frames.map((frame) => decodeFrame(frame));
  }

  get seqs(): number[] {
    return this.decoded.map(({ body }) => body['seq'] as number);
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  pings(): Promise<unknown> {
    return new Promise((resolve) => this.#socket.once('ping', resolve));
  }

  [Symbol.dispose](): void {
    this.#socket.terminate();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

async function started(options = {}): Promise<Network> {
  const net = await createNetwork({
    seed: 4,
    repos: 8,
    recordsPerRepo: 5,
    labelers: 1,
    window: 1000,
    ...options,
  });
  await net.run({ operations: 60 });
  return net;
}

test('a reader gets what its cursor asks for, then what is new', async () => {
  await using net = await started();
  using all = new Reader(net.relayUrl, FIREHOSE, 0);
  await all.until(() => all.frames.length === net.newestSeq);
  expect(all.seqs).toEqual(Array.from({ length: net.newestSeq }, (_, i) => i + 1));
  using some = new Reader(net.relayUrl, FIREHOSE, 20);
  using live = new Reader(net.relayUrl, FIREHOSE);
  await some.until(() => some.frames.length === net.newestSeq - 20);
  await live.until(() => live.isOpen);
  const before = net.newestSeq;
  await net.run({ operations: 10 });
  await live.until(() => live.frames.length === net.newestSeq - before);
  expect(live.seqs[0]).toBe(before + 1);
});

test('cursors that are too old or in the future', async () => {
  await using net = await started();
  const pds = net.hosts[0]!;
  const feed = net.world.hosts[0]!.feed;
  net.streams.outdate({ keep: 3, service: 'pds0' });
  using outdated = new Reader(pds, FIREHOSE, 1);
  await outdated.until(() => outdated.frames.length === 4);
  expect(outdated.decoded[0]).toMatchObject({ header: { t: '#info' }, body: { name: 'OutdatedCursor' } });
  using future = new Reader(pds, FIREHOSE, feed.newest + 10);
  await future.until(() => future.closed);
  expect(future.decoded[0]).toMatchObject({ header: { op: -1 }, body: { error: 'FutureCursor' } });
  net.streams.outdate({ keep: 3 });
  using silent = new Reader(net.relayUrl, FIREHOSE, 1);
  await silent.until(() => silent.frames.length === 3);
  expect(silent.seqs).toEqual([net.newestSeq - 2, net.newestSeq - 1, net.newestSeq]);
});

test('losses with and without a gap in the seqs, and seqs that begin anew', async () => {
  await using net = await started();
  const newest = net.newestSeq;
  net.streams.drop({ count: 5 });
  const lost = net.injected.filter(({ fault }) => fault === 'stream-drop');
  expect(lost.length).toBeGreaterThan(0);
  expect(net.newestSeq).toBe(newest);
  net.streams.drop({ count: 5, renumber: true });
  expect(net.newestSeq).toBeLessThan(newest);
  net.streams.reset();
  expect(net.newestSeq).toBe(0);
  using reader = new Reader(net.relayUrl, FIREHOSE, newest);
  await reader.until(() => reader.isOpen);
  await net.run({ operations: 5 });
  await reader.until(() => reader.frames.length === net.newestSeq);
  expect(reader.seqs[0]).toBe(1);
});

test('sockets that are closed, refused, or alive in name only', async () => {
  await using net = await started();
  using slow = new Reader(net.relayUrl, FIREHOSE);
  await slow.until(() => slow.isOpen);
  net.streams.tooSlow();
  await slow.until(() => slow.closed);
  expect(slow.decoded[0]!.body['error']).toBe('ConsumerTooSlow');
  using zombie = new Reader(net.relayUrl, FIREHOSE);
  await zombie.until(() => zombie.isOpen);
  net.streams.zombie();
  await net.run({ operations: 5 });
  await zombie.pings();
  expect(zombie.frames).toHaveLength(0);
  net.streams.refuse({ status: 503 });
  using refused = new Reader(net.relayUrl, FIREHOSE);
  await refused.until(() => refused.refused !== undefined);
  expect(refused.refused).toBe(503);
});

test('labels are signed by their labeler, and the truth is the newest statement', async () => {
  await using net = await createNetwork({ seed: 5, repos: 6, recordsPerRepo: 20, labelers: 1 });
  const labeler = net.labelers[0]!;
  for (let i = 0; i < 80; i++) labeler.step();
  net.labelFaults.inject('label-reordered', labeler);
  net.labelFaults.inject('label-forged-src', labeler);
  using reader = new Reader(net.labelerUrls[0]!, LABELS, 0);
  await reader.until(() => reader.frames.length === labeler.feed.newest);
  const newest = new Map<string, { cts: string; neg?: boolean }>();
  for (const { header, body } of reader.decoded) {
    expect(header.t).toBe('#labels');
    for (const { sig, ...label } of body['labels'] as { sig: Uint8Array; [key: string]: unknown }[]) {
      expect(await verifySignature(didKey(labeler.key), encode(label), sig)).toBe(true);
      if (label['src'] !== labeler.did) continue;
      const key = `${label['src']} ${label['uri']} ${label['val']}`;
      const cts = label['cts'] as string;
      if (!newest.has(key) || newest.get(key)!.cts < cts) newest.set(key, label as never);
    }
  }
  const truth = new Map(
    net
      .truth()
      .labels()
      .map((label) => [`${label.src} ${label.uri} ${label.val}`, label]),
  );
  expect(truth).toEqual(newest);
});

test('with everything going wrong one seed is still one history', async () => {
  const history = async () => {
    await using net = await createNetwork({
      seed: 11,
      repos: 30,
      recordsPerRepo: 20,
      labelers: 1,
      faults: { events: 0.005, oddEvery: 20, streamEvery: 150, poisoned: 3 },
    });
    await net.run({ operations: 800 });
    net.settle();
    return JSON.stringify([net.injected, [...net.truth().records()], net.truth().labels()]);
  };
  expect(await history()).toBe(await history());
});
