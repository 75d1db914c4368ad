import { hash } from 'node:crypto';
import type { Identity } from './document.ts';
import type { IdentityReason } from './errors.ts';

/** What is remembered of a DID: its identity, or why it has none. */
export type Remembered = { identity: Identity } | { reason: IdentityReason; message: string };

/** The commands of Redis that the cache uses. */
export interface CacheStore {
  get(key: string): Promise<string | null>;
  set(key: string, value: string, mode: 'PX', ms: number): Promise<unknown>;
  del(key: string): Promise<unknown>;
}

export interface DocumentCacheOptions {
  store: CacheStore;
  /** Keys at most. A DID has one place among them, so the cache can't outgrow this. */
  slots: number;
  ttlMs: number;
  /** For DIDs without a document. */
  negativeTtlMs: number;
  keyPrefix: string;
}

/**
 * The documents that all copies of all services share. Each DID has one slot
 * (`identity:SLOT`); a DID that falls on a taken slot replaces its holder. So
 * tens of millions of DIDs that a backfill asks for once can't fill Redis.
 */
export class DocumentCache {
  readonly #options: DocumentCacheOptions;

  constructor(options: DocumentCacheOptions) {
    this.#options = options;
  }

  /** The key that holds a DID, if it is held at all. */
  keyOf(did: string): string {
    const number = hash('sha256', did, 'buffer').readUInt32BE(0);
    return `${this.#options.keyPrefix}:${number % this.#options.slots}`;
  }

  async get(did: string): Promise<Remembered | undefined> {
    const text = await this.#options.store.get(this.keyOf(did));
    return text === null ? undefined : read(did, text);
  }

  async set(did: string, value: Remembered): Promise<void> {
    const ttl = 'identity' in value ? this.#options.ttlMs : this.#options.negativeTtlMs;
    const text = JSON.stringify({ did, ...value });
    await this.#options.store.set(this.keyOf(did), text, 'PX', jitter(ttl));
  }

  async drop(did: string): Promise<void> {
    const key = this.keyOf(did);
    const text = await this.#options.store.get(key);
    if (text !== null && read(did, text)) await this.#options.store.del(key);
  }
}

/** ± 10 %, so that what was cached together does not expire together. */
function jitter(ms: number): number {
  return Math.max(1, Math.round(ms * (0.9 + Math.random() * 0.2)));
}

function read(did: string, text: string): Remembered | undefined {
  try {
    const value = JSON.parse(text) as Remembered & { did?: string };
    return value.did === did && ('identity' in value || 'reason' in value) ? value : undefined;
  } catch {
    // Written by someone else: as good as absent, and overwritten soon.
    return undefined;
  }
}
