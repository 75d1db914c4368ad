import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Metrics } from '@headwater/ops';
import { connect, type Redis } from '@headwater/streams';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { empty, keysLike, startRedis, type TestRedis } from '../../../test/support/redis.ts';
import { until } from '../../../test/support/wait.ts';
import type { HttpGet } from './http.ts';
import { IdentityResolver, type IdentityResolverOptions } from './resolver.ts';

const DID = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz';
const KEY = 'zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF';

const documentOf = (did: string, pds = 'https://pds.example.com') => ({
  id: did,
  alsoKnownAs: ['at://alice.example.com'],
  verificationMethod: [{ id: '#atproto', type: 'Multikey', controller: did, publicKeyMultibase: KEY }],
  service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: pds }],
});

const get: HttpGet = async (url, { timeoutMs }) => {
  const res = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  const after = res.headers.get('retry-after');
  return {
    status: res.status,
    body: await res.text(),
    retryAfterMs: after === null ? undefined : Number(after) * 1000,
  };
};

let redisServer: TestRedis;
let store: Redis;
let tests = 0;
let prefix = '';
let plcUrl: string;
let requests: string[] = [];
let answer: (req: IncomingMessage, res: ServerResponse) => void;
const json = (value: unknown) => (_req: IncomingMessage, res: ServerResponse) =>
  res.end(JSON.stringify(value));
const status =
  (code: number, headers = {}) =>
  (_req: IncomingMessage, res: ServerResponse) =>
    res.writeHead(code, headers).end();

const server = createServer((req, res) => {
  requests.push(req.url!);
  answer(req, res);
});

beforeAll(async () => {
  redisServer = await startRedis();
  store = connect(redisServer.url);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  plcUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  store.disconnect();
  server.closeAllConnections();
  server.close();
  await redisServer.stop();
});
beforeEach(() => {
  requests = [];
  // What the resolvers of the test before still write is none of this one's.
  prefix = `identity-${++tests}`;
  answer = (req, res) => json(documentOf(req.url!.slice(1)))(req, res);
});
afterEach(() => empty(store));

const resolverOf = (options: Partial<IdentityResolverOptions> = {}) =>
  new IdentityResolver({ get, plcUrl, metrics: new Metrics('test'), store, keyPrefix: prefix, ...options });
/** Documents are written a moment after they are read, all at once. */
const untilWritten = () =>
  until('a document in Redis', async () => (await keysLike(store, `${prefix}:*`)).length > 0);
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (err) => err.reason ?? err,
  );

describe('IdentityResolver', () => {
  it('asks the directory once for many at the same time, then memory, then Redis', async () => {
    const one = resolverOf();
    const all = await Promise.all(Array.from({ length: 20 }, () => one.resolveRepo(DID)));
    expect(all[7]).toEqual({
      did: DID,
      pds: 'https://pds.example.com',
      signingKey: `did:key:${KEY}`,
      handle: 'alice.example.com',
    });
    await one.resolve(DID);
    await untilWritten();
    await resolverOf().resolve(DID);
    expect(requests).toEqual([`/${DID}`]);
  });

  it('keeps Redis within its slots, with a time to live', async () => {
    const resolver = resolverOf({ cacheSlots: 5 });
    const dids = Array.from(
      { length: 40 },
      (_, i) => `did:plc:${'a'.repeat(22)}${'abcdefgh'[i >> 3]}${'abcdefgh'[i & 7]}`,
    );
    for (const did of dids) expect((await resolver.resolve(did)).did).toBe(did);
    await untilWritten();
    const keys = await keysLike(store, `${prefix}:*`);
    expect(keys.length).toBeLessThanOrEqual(5);
    const ttl = await store.pttl(keys[0]!);
    expect(ttl).toBeGreaterThan(20 * 3600_000);
    expect(ttl).toBeLessThan(27 * 3600_000);
    // A slot that another DID took is a miss, never another's document.
    const fresh = resolverOf({ cacheSlots: 5 });
    for (const did of dids) expect((await fresh.resolve(did)).did).toBe(did);
  });

  it('refresh sees a changed document at once, everywhere; drop forgets', async () => {
    const one = resolverOf();
    const two = resolverOf({ refreshEveryMs: 0 });
    await one.resolve(DID);
    answer = json(documentOf(DID, 'https://new.example.com'));
    expect((await one.resolve(DID)).pds).toBe('https://pds.example.com');
    expect((await one.refresh(DID)).pds).toBe('https://new.example.com');
    expect((await two.resolve(DID)).pds).toBe('https://new.example.com');
    answer = json(documentOf(DID, 'https://third.example.com'));
    await two.drop(DID);
    expect((await two.resolve(DID)).pds).toBe('https://third.example.com');
  });

  it('does not turn refreshes of one DID into load', async () => {
    const resolver = resolverOf({ refreshEveryMs: 60_000 });
    for (let i = 0; i < 10; i++) await resolver.refresh(DID);
    expect(requests.length).toBe(1);
  });

  it('a document that was on its way when its DID was dropped is not remembered', async () => {
    const resolver = resolverOf();
    const held = Promise.withResolvers<ServerResponse>();
    answer = (_req, res) => held.resolve(res);
    const slow = resolver.resolve(DID);
    const res = await held.promise;
    await resolver.drop(DID);
    res.end(JSON.stringify(documentOf(DID, 'https://old.example.com')));
    await slow;
    answer = json(documentOf(DID, 'https://new.example.com'));
    expect((await resolver.resolve(DID)).pds).toBe('https://new.example.com');
  });

  it.each([
    [404, 'not-found'],
    [410, 'tombstoned'],
  ])('a %i is remembered, for a shorter time', async (code, reason) => {
    answer = status(code);
    const resolver = resolverOf({ negativeTtlMs: 60_000 });
    expect(await reasonOf(resolver.resolve(DID))).toBe(reason);
    expect(await reasonOf(resolver.resolve(DID))).toBe(reason);
    await untilWritten();
    expect(await reasonOf(resolverOf().resolve(DID))).toBe(reason);
    expect(requests.length).toBe(1);
    const [key] = await keysLike(store, `${prefix}:*`);
    expect(await store.pttl(key!)).toBeLessThan(67_000);
  });

  it('tells the other reasons apart', async () => {
    const resolver = resolverOf({ negativeTtlMs: 1, memoryTtlMs: 0 });
    answer = json({ id: DID });
    expect(await reasonOf(resolver.resolveRepo(DID))).toBe('no-pds');
    answer = json({ ...documentOf(DID), verificationMethod: [] });
    expect(await reasonOf(resolver.refreshRepo(DID))).toBe('bad-document');
    answer = json(documentOf('did:web:evil.example.com'));
    expect(await reasonOf(resolverOf({ store: undefined }).resolve(DID))).toBe('bad-document');
    for (const did of ['did:example:x', 'did:web:127.0.0.1', 'did:web:localhost%3A80', 'did:web:intranet']) {
      expect(await reasonOf(resolver.resolve(did))).toBe('bad-did');
    }
  });

  it('tries again after errors, and says unavailable, with the wait asked for, in the end', async () => {
    let left = 2;
    answer = (req, res) => (left-- > 0 ? status(500)(req, res) : json(documentOf(DID))(req, res));
    expect((await resolverOf().resolve(DID)).did).toBe(DID);
    expect(requests.length).toBe(3);
    answer = status(429, { 'retry-after': '120' });
    const resolver = resolverOf();
    const err = await resolver.refresh(DID).catch((e) => e);
    expect(err).toMatchObject({ reason: 'unavailable', host: new URL(plcUrl).host });
    expect(err.retryAfterMs).toBeGreaterThan(110_000);
    // The pause holds for every DID of the directory: nothing is sent meanwhile.
    const before = requests.length;
    expect(await reasonOf(resolver.resolve('did:plc:aaaaaaaaaaaaaaaaaaaaaaaa'))).toBe('unavailable');
    expect(requests.length).toBe(before);
  });

  it.each([
    ['a page', (_req: IncomingMessage, res: ServerResponse) => void res.end('<html>soon</html>')],
    ['nothing', (_req: IncomingMessage, res: ServerResponse) => void res.end()],
    ['a refusal', status(403)],
  ])('%s in place of a document is no word of the directory', async (_what, strange) => {
    answer = strange;
    const resolver = resolverOf();
    expect(await reasonOf(resolver.resolve(DID))).toBe('unavailable');
    answer = json(documentOf(DID));
    expect((await resolver.resolve(DID)).did).toBe(DID);
  });

  it('waits for a short Retry-After and then asks again', async () => {
    let left = 1;
    answer = (req, res) =>
      left-- > 0 ? status(429, { 'retry-after': '0.2' })(req, res) : json(documentOf(DID))(req, res);
    const started = Date.now();
    expect((await resolverOf().resolve(DID)).did).toBe(DID);
    expect(Date.now() - started).toBeGreaterThanOrEqual(190);
  });

  it('asks the directory no more than its number of questions at once', async () => {
    let open = 0;
    let most = 0;
    answer = (req, res) => {
      most = Math.max(most, ++open);
      // Slow enough for a question too many to arrive meanwhile.
      setTimeout(() => {
        open -= 1;
        json(documentOf(req.url!.slice(1)))(req, res);
      }, 5);
    };
    const resolver = resolverOf({ plcConcurrency: 3 });
    const letters = [...'abcdefghijklmnop'];
    await Promise.all(letters.map((c) => resolver.resolve(`did:plc:${c.repeat(24)}`)));
    expect(most).toBe(3);
  });

  it('works without Redis', async () => {
    const broken = {
      get: () => Promise.reject(new Error('down')),
      set: () => Promise.reject(new Error('down')),
      del: () => Promise.reject(new Error('down')),
    };
    const resolver = resolverOf({ store: broken });
    expect((await resolver.resolve(DID)).did).toBe(DID);
    await resolver.drop(DID);
  });

  it('reads did:web of localhost in development only', async () => {
    const port = new URL(plcUrl).port;
    const did = `did:web:localhost%3A${port}`;
    answer = json(documentOf(did));
    const resolver = resolverOf({ allowLocalhost: true });
    const resolved = resolver.resolve(did).catch((err) => err.message);
    // `localhost` may be ::1 first: then nobody answers there.
    if (typeof (await resolved) !== 'string') expect(requests).toEqual(['/.well-known/did.json']);
    expect(await reasonOf(resolverOf().resolve(did))).toBe('bad-did');
  });
});
