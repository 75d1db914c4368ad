import { encode } from '@ipld/dag-cbor';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { didOf } from '../support/repos.ts';
import { FakeHost, json } from './fake-host.ts';
import { errorFrame, frame } from './frames.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

let streams: Streams;
/** Labeler, and PLC directory as well. */
let host: FakeHost;
const did = didOf('labeler');
let endpoint = '';
let metadata: object | undefined;

beforeAll(async () => {
  streams = await startStreams();
});
afterAll(() => streams[Symbol.asyncDispose]());
beforeEach(async () => {
  await streams.redis.flushall();
  host = await FakeHost.start();
  endpoint = host.url;
  metadata = { did, url: host.url };
  host.onRequest = (url, response) => {
    if (url.pathname === '/.well-known/ozone-metadata.json' && metadata) json(response, 200, metadata);
    else if (decodeURIComponent(url.pathname) === `/${did}`) json(response, 200, documentOf(endpoint));
    else return false;
    return true;
  };
});
afterEach(() => host[Symbol.asyncDispose]());

function documentOf(serviceEndpoint: string) {
  const service = [{ id: '#atproto_labeler', type: 'AtprotoLabeler', serviceEndpoint }];
  return {
    '@context': ['https://www.w3.org/ns/did/v1'],
    id: did,
    alsoKnownAs: [],
    verificationMethod: [],
    service,
  };
}

const start = (labeler: string) =>
  startIngester(streams.server.url, {
    INGESTER_MODE: 'labels',
    INGESTER_LABELER_HOSTS: labeler,
    PLC_URL: host.url,
  });
const cursor = (name: string) => streams.redis.get(`label_live:cursor:${name}`);
const label = (more: object = {}) => ({
  ver: 1,
  src: did,
  uri: 'at://did:plc:x/app.bsky.feed.post/1',
  val: 'spam',
  cts: '2026-01-01T00:00:00.000Z',
  ...more,
});
const labels = (seq: number, ...all: object[]) => ({ seq, bytes: frame('#labels', { seq, labels: all }) });

it('follows a labeler from its first label on, by host and by DID', async () => {
  host.push(
    labels(1, label({ sig: Buffer.from([1, 2, 3, 4]) }), label({ val: 'porn', cid: 'bafyrei' })),
    labels(2, label({ neg: true })),
  );
  const byHost = start(host.host);
  await eventually(() => cursor(host.host)).toBe('2');
  expect(await streams.labels()).toEqual([
    { type: 'label', seq: 1, label: label({ sig: { $bytes: 'AQIDBA' } }) },
    { type: 'label', seq: 1, label: label({ val: 'porn', cid: 'bafyrei' }) },
    { type: 'label', seq: 2, label: label({ neg: true }) },
  ]);
  expect(host.cursors[0]).toBe('0');
  await byHost.stop();
  start(did);
  await eventually(() => cursor(did)).toBe('2');
  expect(await streams.labels()).toHaveLength(6);
});

it('leaves out labels that are not its own or that no reader could use', async () => {
  const soon = new Date(Date.now() + 40 * 3_600_000).toISOString();
  host.push(
    labels(
      1,
      label({ src: didOf('somebody else') }),
      label({ exp: 'tomorrow' }),
      label({ cts: '2026-13-01T00:00:00Z' }),
      label({ cts: soon }),
      label({ uri: 'https://example.com' }),
      label({ val: 'a\u0000b' }),
      { src: did },
      label({ val: 'good', exp: '2030-01-01T00:00:00+02:00' }),
    ),
    { seq: 2, bytes: Buffer.concat([encode({ op: 1, t: '#labels' }), Buffer.from('rubbish')]) },
    labels(3, label({ src: didOf('somebody else') })),
    labels(4, label({ val: 'last' })),
  );
  const { metric } = start(host.host);
  await eventually(() => cursor(host.host)).toBe('4');
  expect((await streams.labels()).map((event) => event.label.val)).toEqual(['good', 'last']);
  expect(await streams.redis.xlen('label_live:dead')).toBe(1);
  expect(await metric('drops_total', { reason: 'forged-src' })).toBe(2);
  for (const reason of ['bad-exp', 'bad-cts', 'future-cts', 'bad-uri', 'bad-val', 'bad-label']) {
    expect([reason, await metric('drops_total', { reason })]).toEqual([reason, 1]);
  }
});

it('refuses a host that calls itself by a DID that does not name it', async () => {
  endpoint = 'https://labels.example.com';
  const { metrics } = start(host.host);
  await expect
    .poll(() => metrics.registry.metrics())
    .toMatch(/task_restarts_total\{task="labels \S+",\S+\} [1-9]/);
  expect(host.cursors).toEqual([]);
});

it('refuses a host that does not say which DID it is', async () => {
  metadata = undefined;
  const { metrics } = start(host.host);
  await expect
    .poll(() => metrics.registry.metrics())
    .toMatch(/task_restarts_total\{task="labels \S+",\S+\} [1-9]/);
  expect(host.cursors).toEqual([]);
});

it('reads all labels again when the labeler has started its sequence again', async () => {
  host.push(labels(1, label()));
  const replay = (socket: { send(data: Uint8Array): void; close(): void }, at: string | null) => {
    if (Number(at) > 1) {
      socket.send(errorFrame('FutureCursor'));
      socket.close();
    } else if (at === '0') for (const { bytes } of host.frames) socket.send(bytes);
  };
  host.onSubscribe = replay;
  await streams.redis.set(`label_live:cursor:${host.host}`, '77');
  start(host.host);
  await eventually(() => cursor(host.host)).toBe('1');
  expect(host.cursors).toEqual(['77', '0']);
});
