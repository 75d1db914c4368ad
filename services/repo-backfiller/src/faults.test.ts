import { Secp256k1Keypair } from '@atproto/crypto';
import { describe, expect, it } from 'vitest';
import { empty, keyOf } from '../../../test/support/redis.ts';
import { type FakeNetwork, likes, sendCar, sendError } from './testing/fake-network.ts';
import { getRepos, useBackfiller } from './testing/suite.ts';

/** Repos, keys and entries that are wrong: what becomes of them, and of their neighbours. */
const used = useBackfiller();
const { harnessOf, start, reasonOf } = used;

describe('a repo that can not be believed', () => {
  it.each<[string, (account: Awaited<ReturnType<FakeNetwork['account']>>) => unknown]>([
    ['truncated', (account) => (account.car = account.car.subarray(0, account.car.length - 40))],
    ['missing-block', async (account) => (account.car = withoutLastBlock(account.car))],
    ['wrong-did', (account) => account.commit({}, { did: 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa' })],
    ['bad-hash', (account) => (account.car = account.car.with(account.car.length - 1, 255))],
    ['bad-signature', async (account) => (account.documentKey = (await Secp256k1Keypair.create()).did())],
  ])('%s: tried again, then a dead letter; its neighbour is sent', async (reason, spoil) => {
    const host = await used.network.host();
    const [bad, good] = [await used.network.account(host, 30), await used.network.account(host)];
    await spoil(bad);
    await using harness = await start();
    await harness.add({ did: bad.did }, { did: good.did });
    await harness.idle();
    expect(await harness.dead()).toEqual({ [bad.did]: reason });
    expect(await reasonOf(bad.did)).toEqual({ state: 'failed', reason });
    expect(getRepos(host.requests).filter((url) => url.includes(bad.did)).length).toBe(3);
    expect(await harness.sentOf(bad.did)).toEqual([]);
    expect((await harness.sentOf(good.did)).length).toBe(4);
  });

  it('an answer without end is cut off at the limit', async () => {
    const host = await used.network.host();
    const account = await used.network.account(host);
    host.instead = (_req, res) => {
      const more = () => {
        while (!res.destroyed && res.write(Buffer.alloc(64 * 1024, 1)));
      };
      res.on('drain', more);
      more();
    };
    await using harness = await start({
      env: { BACKFILLER_MAX_REPO_BYTES: '1MiB', BACKFILLER_MAX_ATTEMPTS: '1' },
    });
    await harness.add({ did: account.did });
    await harness.idle();
    expect(Object.values(await harness.dead())[0]).toMatch(/too-large|bad-car/);
  });

  it('a record that no lexicon JSON can say is left out, its neighbours are sent', async () => {
    const host = await used.network.host();
    const account = await used.network.account(host, {
      ...likes(2),
      'app.bsky.feed.like/3zzzzzzzzzzzz': ['not', 'a map'],
    });
    await using harness = await start();
    await harness.add({ did: account.did });
    await harness.idle();
    expect((await harness.sentOf(account.did)).length).toBe(3);
    expect(await harness.count('backfiller_unusable_records_total', { reason: 'bad-record' })).toBe(1);
  });
});

describe('keys and moves', () => {
  it('a key that was rotated is found in a fresh document, without a second download', async () => {
    const host = await used.network.host();
    const account = await used.network.account(host);
    await using harness = await start();
    await harness.add({ did: account.did });
    await harness.idle();
    account.keypair = await Secp256k1Keypair.create();
    account.documentKey = account.keypair.did();
    await account.commit(likes(5));
    await harness.add({ did: account.did, rev: account.rev });
    await harness.idle();
    expect(await harness.dead()).toEqual({});
    expect(getRepos(host.requests).length).toBe(2);
    expect(used.network.plc.requests.length).toBe(2);
  });

  it.each(['RepoNotFound', 'RepoDeactivated', 'gone'])(
    'an account that has moved is fetched from its new PDS (%s)',
    async (was) => {
      const [old, host] = [await used.network.host(), await used.network.host()];
      const account = await used.network.account(old);
      await using harness = await start();
      await harness.add({ did: account.did });
      await harness.idle();
      account.pds = host;
      if (was === 'gone') await old[Symbol.asyncDispose]();
      else old.instead = (_req, res) => sendError(res, 400, was);
      await account.commit(likes(5));
      await harness.add({ did: account.did, rev: account.rev });
      await harness.idle();
      expect(getRepos(host.requests).length).toBe(1);
      expect(await harness.dead()).toEqual({});
      expect((await harness.sentOf(account.did)).length).toBeGreaterThanOrEqual(5);
    },
  );

  it('a terminal answer is noted, once', async () => {
    const host = await used.network.host();
    const account = await used.network.account(host);
    host.instead = (_req, res) => sendError(res, 400, 'RepoTakendown');
    await using harness = await start();
    await harness.add({ did: account.did });
    await harness.idle();
    expect(await reasonOf(account.did)).toEqual({ state: 'unavailable', reason: 'RepoTakendown' });
    expect(host.requests.length).toBe(1);
    expect(await harness.dead()).toEqual({});
  });

  it('a PDS on a private address is not asked', async () => {
    const host = await used.network.host();
    const account = await used.network.account(host);
    const env = { HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'false', BACKFILLER_MAX_ATTEMPTS: '1' };
    await using harness = await start({ env });
    await harness.add({ did: account.did });
    await harness.idle();
    expect(await harness.dead()).toEqual({ [account.did]: 'refused-address' });
    expect(host.requests).toEqual([]);
  });
});

it('entries that are no jobs go to the dead letters at once; the others go on', async () => {
  const account = await used.network.account(await used.network.host());
  await using harness = await start();
  await harness.redis.xadd('repo_backfill', '*', 'repo', '{"did":');
  await harness.redis.xadd('repo_backfill', '*', 'repo', '{"did":"nobody"}');
  await harness.redis.xadd('repo_backfill', '*', 'repo', JSON.stringify({ did: 'did:plc:a\0b' }));
  await harness.redis.xadd('repo_backfill', '*', 'something', 'else');
  await harness.add({ did: account.did });
  await harness.idle();
  expect(Object.values(await harness.dead()).sort()).toEqual([
    'bad-field',
    'bad-field',
    'no-field',
    'not-json',
  ]);
  expect((await harness.sentOf(account.did)).length).toBe(4);
});

it('repos that were found out of step come before those of an enumeration', async () => {
  const host = await used.network.host();
  const accounts = await Promise.all(Array.from({ length: 20 }, () => used.network.account(host, 1)));
  await using harness = harnessOf({ env: { BACKFILLER_CONCURRENCY: '1', BACKFILLER_BATCH_SIZE: '1' } });
  await empty(harness.redis);
  const last = accounts.pop()!;
  await harness.add(...accounts.map(({ did }) => ({ did })));
  await harness.redis.xadd(
    keyOf('repo_backfill:urgent'),
    '*',
    'repo',
    JSON.stringify({ did: last.did, reason: 'gap' }),
  );
  harness.start();
  await harness.idle();
  const at = host.requests.findIndex((url) => url.includes(last.did));
  expect(at).toBeGreaterThanOrEqual(0);
  expect(at).toBeLessThan(3);
});

it('what is under way at the end is finished, what waits is handed back', async () => {
  const host = await used.network.host();
  const accounts = await Promise.all(Array.from({ length: 6 }, () => used.network.account(host, 1)));
  const asked = Promise.withResolvers<void>();
  const ending = Promise.withResolvers<void>();
  host.instead = (_req, res, url) => {
    const { car } = used.network.accounts.get(url.searchParams.get('did')!)!;
    void ending.promise.then(() => sendCar(res, car));
    asked.resolve();
  };
  {
    await using harness = await start({ env: { BACKFILLER_CONCURRENCY: '1' } });
    await harness.add(...accounts.map(({ did }) => ({ did })));
    await asked.promise;
    // When the end of this block has told the service to stop.
    setImmediate(() => ending.resolve());
  }
  const before = host.requests.length;
  await using harness = harnessOf();
  expect((await harness.output()).length).toBe(before);
  host.instead = undefined;
  const started = Date.now();
  harness.start();
  await harness.idle();
  // Not after the minute in which a dead process's entries are taken over.
  expect(Date.now() - started).toBeLessThan(50_000);
  expect((await harness.output()).length).toBe(6);
});

/** The CAR up to its last block: cut at a boundary, so that only the tree tells. */
function withoutLastBlock(car: Uint8Array): Uint8Array {
  const starts: number[] = [];
  for (let at = 0; at < car.length; ) {
    starts.push(at);
    let length = 0;
    let shift = 0;
    for (;;) {
      const byte = car[at++]!;
      length += (byte & 0x7f) * 2 ** shift;
      shift += 7;
      if (byte < 0x80) break;
    }
    at += length;
  }
  return car.subarray(0, starts.at(-1));
}
