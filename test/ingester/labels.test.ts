import { encode } from '@ipld/dag-cbor';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { deriveKey } from '../simulator/protocol/keys.ts';
import { labelMethod, signedLabel } from '../support/labeler.ts';
import { empty, keyOf } from '../support/redis.ts';
import { didOf } from '../support/repos.ts';
import { FakeHost, json } from './fake-host.ts';
import { errorFrame, frame } from './frames.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

let streams: Streams;
/** Labeler, and PLC directory as well. */
let host: FakeHost;
const did = didOf('labeler');
const [oldKey, newKey] = [deriveKey('k256', 'old'), deriveKey('p256', 'new')];
let key = oldKey;
let endpoint = '';
let metadata: object | undefined;

beforeAll(async () => {
  streams = await startStreams();
});
afterAll(() => streams[Symbol.asyncDispose]());
beforeEach(async () => {
  await empty(streams.redis);
  host = await FakeHost.start();
  endpoint = host.url;
  key = oldKey;
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
    verificationMethod: [labelMethod(did, key)],
    service,
  };
}

const start = (labeler: string, env: Record<string, string> = {}) =>
  startIngester(streams.server.url, {
    INGESTER_MODE: 'labels',
    INGESTER_LABELER_HOSTS: labeler,
    PLC_URL: host.url,
    ...env,
  });
const cursor = (name: string) => streams.redis.get(keyOf(`label_live:cursor:${name}`));
const label = (more: object = {}) => ({
  ver: 1,
  src: did,
  uri: 'at://did:plc:x/app.bsky.feed.post/1',
  val: 'spam',
  cts: '2026-01-01T00:00:00.000Z',
  ...more,
});
/** A frame of labels, signed as long as they are none yet. */
const labels = (seq: number, ...all: object[]) => ({
  seq,
  bytes: frame('#labels', { seq, labels: all.map((one) => ('sig' in one ? one : signedLabel(one, key))) }),
});
const unsigned = (seq: number, ...all: object[]) => ({ seq, bytes: frame('#labels', { seq, labels: all }) });
/** As lexicon JSON has it. */
const json64 = ({ sig, ...rest }: { sig: Uint8Array }) => ({
  ...rest,
  sig: { $bytes: Buffer.from(sig).toString('base64').replace(/=+$/, '') },
});
const signed = (one: object, by = key) => json64(signedLabel(one, by));

it('follows a labeler from its first label on, by host and by DID', async () => {
  host.push(labels(1, label(), label({ val: 'porn', cid: 'bafyrei' })), labels(2, label({ neg: true })));
  const byHost = start(host.host);
  await eventually(() => cursor(host.host)).toBe('2');
  expect(await streams.labels()).toEqual([
    { type: 'label', seq: 1, label: signed(label()) },
    { type: 'label', seq: 1, label: signed(label({ val: 'porn', cid: 'bafyrei' })) },
    { type: 'label', seq: 2, label: signed(label({ neg: true })) },
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
      label({ ver: 2 }),
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
  const dead = await streams.entries(keyOf('label_live:dead'));
  expect(dead.map(({ source_id, reason, error }) => ({ source_id, reason, error }))).toEqual([
    { source_id: '1', reason: 'bad-label', error: 'LabelError: not a label' },
    { source_id: '', reason: 'bad-cbor', error: expect.stringContaining('RepoError') },
    { source_id: '3', reason: 'forged-src', error: `LabelError: spam of ${label().uri}` },
  ]);
  expect(await metric('drops_total', { reason: 'forged-src' })).toBe(2);
  for (const reason of [
    'bad-version',
    'bad-exp',
    'bad-cts',
    'future-cts',
    'bad-uri',
    'bad-val',
    'bad-label',
  ]) {
    expect([reason, await metric('drops_total', { reason })]).toEqual([reason, 1]);
  }
});

it('takes no label that its labeler has not signed, and keeps what it refuses', async () => {
  const stranger = deriveKey('k256', 'stranger');
  const { sig } = signedLabel(label(), key);
  host.push(
    unsigned(1, label({ val: 'none' }), signedLabel(label({ val: 'good' }), key)),
    labels(2, signedLabel(label({ val: 'theirs' }), stranger)),
    labels(3, label({ val: 'changed', sig }), label({ val: 'short', sig: sig.subarray(1) })),
    labels(4, label({ val: 'last' })),
  );
  const { metric } = start(host.host);
  await eventually(() => cursor(host.host)).toBe('4');
  expect((await streams.labels()).map((event) => event.label.val)).toEqual(['good', 'last']);
  expect(await metric('drops_total', { reason: 'unsigned' })).toBe(1);
  expect(await metric('drops_total', { reason: 'bad-signature' })).toBe(3);
  const dead = await streams.entries(keyOf('label_live:dead'));
  expect(dead.map(({ source_id, reason, error }) => [source_id, reason, error])).toEqual([
    ['1', 'unsigned', `LabelError: none of ${label().uri}`],
    ['2', 'bad-signature', `LabelError: theirs of ${label().uri}`],
    ['3', 'bad-signature', `LabelError: changed of ${label().uri}`],
  ]);
});

it('asks for the document afresh when the labeler has a new key', async () => {
  host.push(labels(1, label()));
  const { metric } = start(did);
  await eventually(() => cursor(did)).toBe('1');
  const cts = () => new Date().toISOString();
  const late = signedLabel(label({ val: 'late', cts: cts() }), oldKey);
  key = newKey;
  host.push(labels(2, late, label({ val: 'new', cts: cts() })), labels(3, label({ val: 'newer' })));
  await eventually(() => cursor(did)).toBe('3');
  // Of one batch both keys count; afterwards the new one alone.
  expect((await streams.labels()).map((event) => event.label.val)).toEqual(['spam', 'late', 'new', 'newer']);
  host.push(labels(4, signedLabel(label({ val: 'old', cts: cts() }), oldKey)));
  await eventually(() => cursor(did)).toBe('4');
  expect(await metric('drops_total', { reason: 'bad-signature' })).toBe(1);
});

it('follows no labeler that has no key, and takes it unsigned where the operator says so', async () => {
  host.onRequest = (url, response) => {
    if (decodeURIComponent(url.pathname) !== `/${did}`) return false;
    json(response, 200, { ...documentOf(endpoint), verificationMethod: [] });
    return true;
  };
  host.push(unsigned(1, label()));
  const strict = start(did);
  await expect
    .poll(() => strict.metrics.registry.metrics())
    .toMatch(/task_restarts_total\{task="labels \S+",\S+\} [1-9]/);
  expect(host.cursors).toEqual([]);
  await strict.stop();
  start(did, { INGESTER_VERIFY_LABELS: 'false' });
  await eventually(() => cursor(did)).toBe('1');
  expect((await streams.labels()).map((event) => event.label)).toEqual([label()]);
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
  await streams.redis.set(keyOf(`label_live:cursor:${host.host}`), '77');
  start(host.host);
  await eventually(() => cursor(host.host)).toBe('1');
  expect(host.cursors).toEqual(['77', '0']);
});
