import type { Identity, IdentityResolver } from '@headwater/identity';
import { IdentityError } from '@headwater/identity';
import type { KeyStore } from './key-store.ts';

export interface SigningKeysOptions {
  identities: Pick<IdentityResolver, 'resolve' | 'refresh' | 'drop'>;
  /** Shared with other copies and kept over a restart. */
  store?: KeyStore;
  /** DIDs in this process's memory (some 250 bytes each). */
  size?: number;
  ttlMs?: number;
  /** First and longest pause between two fresh documents of one DID. */
  refreshMs?: { first: number; longest: number };
  now?: () => number;
}

interface Held {
  key: string;
  until: number;
}

interface Refreshed {
  at: number;
  pauseMs: number;
}

const refreshedSize = 20_000;

/**
 * The keys that sign commits, by DID: in memory, then in Redis, then in the
 * DID documents. Sized for the accounts that write, while the cache of
 * documents is that of those who are fetched: a backfill asks for tens of
 * millions of documents once, and must not push these out.
 *
 * A key that verifies needs no document, however old it is (up to `ttlMs`); one
 * that does not asks for the document as it is now, at growing pauses for each
 * DID: forged signatures must not become load on the directory.
 */
export class SigningKeys {
  readonly #options: Required<Omit<SigningKeysOptions, 'store'>> & Pick<SigningKeysOptions, 'store'>;
  readonly #held = new Map<string, Held>();
  readonly #refreshed = new Map<string, Refreshed>();

  constructor(options: SigningKeysOptions) {
    this.#options = {
      size: 150_000,
      ttlMs: 24 * 3_600_000,
      refreshMs: { first: 2_000, longest: 600_000 },
      now: Date.now,
      ...options,
    };
  }

  /** The key in memory, as did:key. */
  held(did: string): string | undefined {
    const held = this.#held.get(did);
    if (held === undefined || held.until <= this.#options.now()) return undefined;
    // Used last, forgotten last.
    this.#held.delete(did);
    this.#held.set(did, held);
    return held.key;
  }

  /** Brings keys from Redis into memory, where they are not there yet. */
  async load(dids: readonly string[]): Promise<void> {
    const { store } = this.#options;
    const missing = [...new Set(dids)].filter((did) => this.held(did) === undefined);
    if (!store || missing.length === 0) return;
    for (const [did, { key, until }] of await store.get(missing)) this.#hold(did, key, until);
  }

  /**
   * The key of the DID's document, as recent as the cache of documents has it.
   *
   * @throws IdentityError, `bad-document` where the document names no key that can be used
   */
  async resolve(did: string): Promise<string> {
    return await this.#take(did, await this.#options.identities.resolve(did));
  }

  /**
   * The key of the document as it is published now; undefined where it was asked for a moment ago.
   *
   * @throws IdentityError as resolve
   */
  async refresh(did: string): Promise<string | undefined> {
    const { identities, refreshMs, now } = this.#options;
    const last = this.#refreshed.get(did);
    if (last && now() - last.at < last.pauseMs) return undefined;
    const isCalm = !last || now() - last.at > 10 * refreshMs.longest;
    const pauseMs = isCalm ? refreshMs.first : Math.min(last.pauseMs * 2, refreshMs.longest);
    this.#refreshed.delete(did);
    this.#refreshed.set(did, { at: now(), pauseMs });
    trim(this.#refreshed, refreshedSize);
    return await this.#take(did, await identities.refresh(did));
  }

  /** Forgets a DID, after an `#identity` event. */
  async drop(did: string): Promise<void> {
    this.#held.delete(did);
    this.#refreshed.delete(did);
    await Promise.all([this.#options.store?.drop(did), this.#options.identities.drop(did)]);
  }

  get size(): number {
    return this.#held.size;
  }

  async #take(did: string, { signingKey }: Identity): Promise<string> {
    if (signingKey === undefined) {
      throw new IdentityError('bad-document', did, 'the DID document has no usable signing key');
    }
    const until = this.#options.now() + this.#options.ttlMs * (0.9 + Math.random() * 0.2);
    this.#hold(did, signingKey, until);
    await this.#options.store?.set(did, { key: signingKey, until });
    return signingKey;
  }

  #hold(did: string, key: string, until: number): void {
    this.#held.delete(did);
    this.#held.set(did, { key, until });
    trim(this.#held, this.#options.size);
  }
}

function trim(map: Map<string, unknown>, size: number): void {
  if (map.size > size) map.delete(map.keys().next().value!);
}
