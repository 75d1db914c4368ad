import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { empty, keyOf } from '../support/redis.ts';
import { FakeHost, json } from './fake-host.ts';
import { Author, frame, postOp } from './frames.ts';
import { eventually, type Streams, startIngester, startStreams } from './run.ts';

/** Signatures, with a directory that does what the test wants. */
let streams: Streams;
let relay: FakeHost;
let directory: FakeHost;
/** did:key by DID; `away`: no answer; absent: no such DID. */
let documents: Map<string, string | 'away'>;

beforeAll(async () => {
  streams = await startStreams();
});
afterAll(() => streams[Symbol.asyncDispose]());
beforeEach(async () => {
  await empty(streams.redis);
  [relay, directory] = await Promise.all([FakeHost.start(), FakeHost.start()]);
  documents = new Map();
  directory.onRequest = (url, response) => {
    const did = url.pathname.slice(1);
    const key = documents.get(did);
    if (key === 'away') response.writeHead(503).end();
    else if (key === undefined) json(response, 404, {});
    else json(response, 200, documentOf(did, key));
    return true;
  };
  await streams.redis.set(cursorKey(), 0);
});
afterEach(() => Promise.all([relay, directory].map((host) => host[Symbol.asyncDispose]())));

function documentOf(id: string, didKey: string): object {
  const publicKeyMultibase = didKey.slice('did:key:'.length);
  const method = { id: '#atproto', type: 'Multikey', controller: id, publicKeyMultibase };
  return { id, verificationMethod: [method] };
}

const start = (env: Record<string, string> = {}) =>
  startIngester(streams.server.url, {
    INGESTER_RELAY_HOSTS: relay.host,
    INGESTER_MODE: 'firehose',
    INGESTER_VERIFY: 'full',
    PLC_URL: directory.url,
    ...env,
  });
const cursorKey = () => keyOf(`firehose_live:cursor:${relay.host}`);
const cursor = () => streams.redis.get(cursorKey());
const seqs = async () => (await streams.live()).map(([event]) => event!.seq);
/** What of a commit has reached the stream: its records, or only that there is one. */
const types = async () => (await streams.live()).map(([event]) => `${event!.seq} ${event!.type}`);
const asked = (did: string) => directory.requests.filter(({ pathname }) => pathname === `/${did}`).length;

async function author(name: string, keypair?: Secp256k1Keypair): Promise<Author> {
  const made = await Author.create(name, keypair);
  documents.set(made.did, made.key.did());
  return made;
}

/** The account signs with another key from now on; its document says so, no event does. */
async function rotate(made: Author): Promise<Author> {
  const next = made.with(await Secp256k1Keypair.create());
  documents.set(made.did, next.key.did());
  return next;
}

describe('a signature', () => {
  it('of the key in the DID document is believed, on either curve; the directory is asked once', async () => {
    const [alice, bob] = [await author('alice'), await author('bob', (await P256Keypair.create()) as never)];
    for (let seq = 1; seq <= 40; seq += 2) relay.frames.push(await alice.post(seq), await bob.post(seq + 1));
    const { metric } = start();
    await eventually(cursor).toBe('40');
    expect((await seqs()).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    expect(await metric('statements_total', { verdict: 'verified' })).toBe(40);
    expect([asked(alice.did), asked(bob.did)]).toEqual([1, 1]);
  });

  it('of another key is refused: nothing of it goes on, its repo is looked at, once', async () => {
    const [alice, forger] = [await author('alice'), await Author.create('alice')];
    await alice.post(0);
    relay.push(await alice.post(1));
    for (let seq = 2; seq <= 30; seq++) relay.push(await forger.post(seq));
    relay.push(await alice.post(31));
    const { metric } = start();
    await eventually(cursor).toBe('31');
    const forged = Array.from({ length: 29 }, (_, i) => `${i + 2} repo`);
    expect(await types()).toEqual(['1 create', ...forged, '31 create']);
    expect(await metric('drops_total', { reason: 'bad-signature' })).toBe(29);
    expect(await streams.jobs(keyOf('repo_backfill:urgent'))).toMatchObject([
      { did: alice.did, reason: 'refused' },
    ]);
    // The document, and once more when the first signature did not verify.
    expect(asked(alice.did)).toBeLessThanOrEqual(3);
  });

  it('of a key that was replaced without a word is believed at once', async () => {
    const alice = await author('alice');
    relay.push(await alice.post(1), await alice.post(2));
    const { metric } = start();
    await eventually(cursor).toBe('2');
    const rotated = await rotate(alice);
    relay.push(await rotated.post(3), await rotated.post(4));
    await eventually(cursor).toBe('4');
    expect(await types()).toEqual(['1 create', '2 create', '3 create', '4 create']);
    expect(await metric('statements_total', { verdict: 'refused' })).toBe(0);
    expect(asked(alice.did)).toBe(2);
  });

  it('of a replaced key is refused after an #identity event, though the old key is remembered', async () => {
    const alice = await author('alice');
    const before = await alice.post(1);
    relay.push(before);
    start();
    await eventually(cursor).toBe('1');
    await rotate(alice);
    const body = { seq: 2, did: alice.did, time: new Date().toISOString() };
    relay.push({ seq: 2, bytes: frame('#identity', body) }, await alice.post(3));
    await eventually(cursor).toBe('3');
    expect(await types()).toEqual(['1 create', '2 identity', '3 repo']);
  });

  it('is asked of a #sync too', async () => {
    const [alice, forger] = [await author('alice'), await Author.create('alice')];
    await Promise.all([alice.post(0), forger.post(0)]);
    relay.push(
      { seq: 1, bytes: frame('#sync', await alice.syncBody(1)) },
      { seq: 2, bytes: frame('#sync', await forger.syncBody(2)) },
    );
    const { metric } = start();
    await eventually(cursor).toBe('2');
    const [good, forged] = (await streams.live()).flat();
    expect(good).toMatchObject({ sync: true, data: expect.stringMatching(/^bafy/) });
    expect(forged).not.toHaveProperty('data');
    expect(await metric('drops_total', { reason: 'bad-signature' })).toBe(1);
  });

  it('of somebody who does not exist leaves no trace', async () => {
    const nobody = await Author.create('nobody');
    relay.push(await nobody.post(1), await nobody.post(2));
    const { metric } = start();
    await eventually(cursor).toBe('2');
    expect(await seqs()).toEqual([]);
    expect(await streams.jobs(keyOf('repo_backfill:urgent'))).toEqual([]);
    expect(await metric('drops_total', { reason: 'no-identity' })).toBe(2);
  });
});

describe('a commit whose document is not at hand', () => {
  it('waits, and holds back nobody else; the cursor stays below it; its repo stays in order', async () => {
    const [slow, quick] = [await author('slow'), await author('quick')];
    const key = documents.get(slow.did)!;
    documents.set(slow.did, 'away');
    relay.push(await quick.post(1), await slow.post(2), await quick.post(3), await slow.post(4));
    const body = { seq: 5, did: slow.did, time: new Date().toISOString(), active: true };
    relay.push({ seq: 5, bytes: frame('#account', body) }, await quick.post(6));
    const { metric } = start();
    await eventually(seqs).toEqual([1, 3, 6]);
    expect(await cursor()).toBe('1');
    expect(await metric('waiting_statements')).toBe(3);
    documents.set(slow.did, key);
    await eventually(cursor).toBe('6');
    expect(await seqs()).toEqual([1, 3, 6, 2, 4, 5]);
    expect(await metric('waiting_statements')).toBe(0);
  });

  it('is read again after a crash', async () => {
    const [slow, quick] = [await author('slow'), await author('quick')];
    const key = documents.get(slow.did)!;
    documents.set(slow.did, 'away');
    relay.frames.push(await quick.post(1), await slow.post(2), await quick.post(3));
    const { stop } = start();
    await eventually(seqs).toEqual([1, 3]);
    await stop();
    documents.set(slow.did, key);
    start();
    await eventually(cursor).toBe('3');
    expect(new Set(await seqs())).toEqual(new Set([1, 2, 3]));
  });

  it('is not believed on trust while the directory is away: its repo is looked at later', async () => {
    const [slow, quick] = [await author('slow'), await author('quick')];
    relay.push(await quick.post(1));
    const { metric } = start({ INGESTER_VERIFY_WAIT_MS: '150' });
    await eventually(cursor).toBe('1');
    for (const did of [slow.did, quick.did]) documents.set(did, 'away');
    relay.push(await slow.post(2), await slow.post(3), await quick.post(4));
    await eventually(cursor).toBe('4');
    // The key of `quick` is known: a directory is needed for who is new.
    expect((await types()).sort()).toEqual(['1 create', '2 repo', '3 repo', '4 create']);
    expect(await metric('drops_total', { reason: 'no-directory' })).toBe(2);
    expect(await streams.jobs(keyOf('repo_backfill:urgent'))).toMatchObject([
      { did: slow.did, reason: 'refused' },
    ]);
  });

  it('is bounded in memory: above that the host is not read, and nothing is lost', async () => {
    const slow = await author('slow');
    const key = documents.get(slow.did)!;
    documents.set(slow.did, 'away');
    const text = 'x'.repeat(500_000);
    for (let seq = 1; seq <= 160; seq++) relay.frames.push(await slow.commit(seq, [postOp(seq, text)]));
    const { metric } = start();
    let last = -1;
    const isStill = async () => {
      const [before, now] = [last, await metric('waiting_statements')];
      last = now;
      return now > 50 && now === before;
    };
    await expect.poll(isStill, { timeout: 25_000, interval: 300 }).toBe(true);
    expect(last).toBeLessThan(120);
    documents.set(slow.did, key);
    await eventually(cursor).toBe('160');
    expect(await seqs()).toEqual(Array.from({ length: 160 }, (_, i) => i + 1));
  });
});
