import { type Identity, IdentityError } from '@headwater/identity';
import { createLogger } from '@headwater/ops';
import { connect } from '@headwater/streams';
import { beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../../../../test/support/index.ts';
import { empty, keysLike } from '../../../../test/support/redis.ts';
import { KeyStore } from './key-store.ts';
import { SigningKeys } from './signing-keys.ts';

const used = useRedis();
beforeEach(() => empty(used.redis));

const log = createLogger('test', 'silent');
const did = (n: number) => `did:plc:${'a'.repeat(20)}${String(n).padStart(4, '0').replace(/[01]/g, 'b')}${n}`;
const key = (n: number) => `did:key:zQ3sh${String(n).padStart(44, 'x')}`;

/** A directory that counts what it is asked. */
function directory(keyOf: (did: string) => string | undefined = () => key(1)) {
  const asked = { resolve: 0, refresh: 0, drop: 0 };
  const answer = (name: keyof typeof asked) => async (subject: string) => {
    asked[name]++;
    const signingKey = keyOf(subject);
    return { did: subject, ...(signingKey && { signingKey }) } as Identity;
  };
  return {
    asked,
    identities: {
      resolve: answer('resolve'),
      refresh: answer('refresh'),
      drop: async () => void asked.drop++,
    },
  };
}

describe('signing keys', () => {
  it('come from memory, then Redis, then the document', async () => {
    const { asked, identities } = directory();
    const store = new KeyStore(used.redis, 10_000, log);
    const keys = new SigningKeys({ identities, store });
    expect(keys.held(did(1))).toBeUndefined();
    expect(await keys.resolve(did(1))).toBe(key(1));
    expect(keys.held(did(1))).toBe(key(1));
    const other = new SigningKeys({ identities, store });
    await other.load([did(1), did(2), did(1)]);
    expect([other.held(did(1)), other.held(did(2))]).toEqual([key(1), undefined]);
    expect(asked).toEqual({ resolve: 1, refresh: 0, drop: 0 });
    await keys.drop(did(1));
    const third = new SigningKeys({ identities, store });
    await third.load([did(1)]);
    expect([keys.held(did(1)), third.held(did(1)), asked.drop]).toEqual([undefined, undefined, 1]);
  });

  it('are looked at again after their time', async () => {
    let now = Date.now();
    const keys = new SigningKeys({ identities: directory().identities, ttlMs: 1000, now: () => now });
    await keys.resolve(did(1));
    now += 2000;
    expect(keys.held(did(1))).toBeUndefined();
  });

  it('are bounded in memory; who writes stays', async () => {
    const keys = new SigningKeys({ identities: directory().identities, size: 100 });
    await keys.resolve(did(0));
    for (let n = 1; n < 1000; n++) {
      await keys.resolve(did(n));
      keys.held(did(0));
    }
    expect(keys.size).toBe(100);
    expect(keys.held(did(0))).toBe(key(1));
    expect(keys.held(did(1))).toBeUndefined();
  });

  it('are fetched afresh at growing pauses: forged signatures are no load on the directory', async () => {
    let now = Date.now();
    const { asked, identities } = directory();
    const keys = new SigningKeys({ identities, now: () => now });
    for (let second = 0; second < 3600; second++, now += 1000) await keys.refresh(did(1));
    expect(asked.refresh).toBeLessThan(20);
    // An #identity event says that it is worth it.
    await keys.drop(did(1));
    expect(await keys.refresh(did(1))).toBe(key(1));
    // Another account is not held back.
    expect(await keys.refresh(did(2))).toBe(key(1));
  });

  it('are none where the document names none', async () => {
    const keys = new SigningKeys({ identities: directory(() => undefined).identities });
    await expect(keys.resolve(did(1))).rejects.toBeInstanceOf(IdentityError);
  });
});

describe('the store in Redis', () => {
  const until = Date.now() + 3_600_000;

  it('is bounded, packed and quick to find nothing in', async () => {
    const store = new KeyStore(used.redis, 1000, log);
    for (let n = 0; n < 5000; n++) await store.set(did(n), { key: key(n), until });
    const buckets = await keysLike(used.redis, 'identity:keys:*');
    const sizes = await Promise.all(buckets.map((bucket) => used.redis.hlen(bucket)));
    expect(sizes.reduce((a, b) => a + b)).toBeLessThanOrEqual(1000);
    expect(sizes.reduce((a, b) => a + b)).toBeGreaterThan(900);
    for (const bucket of buckets) expect(await used.redis.object('ENCODING', bucket)).toBe('listpack');
    const bytes = await Promise.all(buckets.map((bucket) => used.redis.memory('USAGE', bucket)));
    expect(bytes.reduce<number>((sum, one) => sum + one!, 0) / 1000).toBeLessThan(140);
    const found = await store.get(Array.from({ length: 5000 }, (_, n) => did(n)));
    for (const [subject, stored] of found) expect(stored.key).toBe(key(Number(subject.slice(32))));
    expect(found.size).toBeGreaterThan(900);
    expect(await used.redis.pttl(buckets[0]!)).toBeGreaterThan(0);
  });

  it('believes nothing that has another form or is past its time', async () => {
    const store = new KeyStore(used.redis, 100, log);
    const field = did(1).slice(4);
    for (const value of ['', 'x', `${key(1).slice(8)}`, `${key(1).slice(8)} 1`, 'zQ3sh" zz']) {
      await used.redis.hset('identity:keys:0', field, value);
      expect((await store.get([did(1)])).size).toBe(0);
    }
    await store.set(did(1), { key: key(1), until });
    expect((await store.get([did(1)])).size).toBe(1);
  });

  it('that is away costs a question to the directory, nothing else', async () => {
    const gone = connect('redis://127.0.0.1:1', { name: 'gone' });
    gone.disconnect();
    const { asked, identities } = directory();
    const keys = new SigningKeys({ identities, store: new KeyStore(gone, 100, log) });
    await keys.load([did(1)]);
    expect(await keys.resolve(did(1))).toBe(key(1));
    await keys.drop(did(1));
    expect(asked.resolve).toBe(1);
  });
});
