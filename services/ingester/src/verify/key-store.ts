import { createHash } from 'node:crypto';
import type { Logger } from '@headwater/ops';
import { type Redis, Script } from '@headwater/streams';

export interface StoredKey {
  /** did:key */
  key: string;
  /** Until when it is good without a look at the document, in ms. */
  until: number;
}

/** DIDs in one hash: few enough for Redis to keep them packed (hash-max-listpack-entries is 128). */
const perBucket = 100;
/** A bucket that nobody has written to for so long holds nothing that is good. */
const bucketTtlMs = 3 * 24 * 3_600_000;
const prefix = 'did:key:';

/** KEYS bucket; ARGV field, value, most fields, ttl in ms. */
const putScript = new Script(`#!lua
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  local victims = redis.call('HRANDFIELD', KEYS[1], 2)
  redis.call('HDEL', KEYS[1], victims[1] ~= ARGV[1] and victims[1] or victims[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`);

/**
 * Signing keys in Redis: hashes `identity:keys:N` of about a hundred DIDs each,
 * field = DID without `did:`, value = key (multibase) and until when it is good
 * (seconds, base 36). Some 110 bytes a DID, and no more DIDs than it is made
 * for. A cache: whatever fails here costs a question to the directory.
 */
export class KeyStore {
  readonly #redis: Redis;
  readonly #buckets: number;
  readonly #log: Logger;

  /** @param size DIDs at most */
  constructor(redis: Redis, size: number, log: Logger) {
    this.#redis = redis;
    this.#buckets = Math.max(1, Math.floor(size / perBucket));
    this.#log = log;
  }

  async get(dids: readonly string[]): Promise<Map<string, StoredKey>> {
    const values = await this.#try(() =>
      Promise.all(dids.map((did) => this.#redis.hget(this.#bucketOf(did), fieldOf(did)))),
    );
    const found = dids.map((did, i) => [did, parse(values?.[i])] as const);
    return new Map(found.filter((pair): pair is [string, StoredKey] => pair[1] !== undefined));
  }

  async set(did: string, { key, until }: StoredKey): Promise<void> {
    const value = `${key.slice(prefix.length)} ${Math.floor(until / 1000).toString(36)}`;
    const args = [fieldOf(did), value, perBucket, bucketTtlMs];
    await this.#try(() => putScript.run(this.#redis, [this.#bucketOf(did)], args));
  }

  async drop(did: string): Promise<void> {
    await this.#try(() => this.#redis.hdel(this.#bucketOf(did), fieldOf(did)));
  }

  #bucketOf(did: string): string {
    const number = createHash('sha256').update(did).digest().readUInt32BE(0);
    return `identity:keys:${number % this.#buckets}`;
  }

  async #try<T>(task: () => Promise<T>): Promise<T | undefined> {
    try {
      return await task();
    } catch (err) {
      this.#log.debug({ err }, 'the cache of signing keys failed');
      return undefined;
    }
  }
}

function fieldOf(did: string): string {
  return did.slice('did:'.length);
}

function parse(value: string | null | undefined): StoredKey | undefined {
  const match = /^(z[a-zA-Z0-9]{40,60}) ([a-z0-9]{1,8})$/.exec(value ?? '');
  if (!match) return undefined;
  const until = Number.parseInt(match[2]!, 36) * 1000;
  return until > Date.now() ? { key: prefix + match[1]!, until } : undefined;
}
