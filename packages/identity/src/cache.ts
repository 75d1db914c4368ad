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
  /** Hears of each document that could not be written. */
  onLost(): void;
}

/** Documents wait so long for others, and so many at most: a command of Redis that is alone costs as much as four. */
const WRITE_MS = 100;
const MOST_UNWRITTEN = 100;

/**
 * The documents that all copies of all services share. Each DID has one slot
 * (`identity:SLOT`); a DID that falls on a taken slot replaces its holder. So
 * tens of millions of DIDs that a backfill asks for once can't fill Redis.
 */
export class DocumentCache {
  readonly #options: DocumentCacheOptions;
  #unwritten = new Map<string, Remembered>();
  #writing: NodeJS.Timeout | undefined;

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

  /** Remembers a document: at once where it is known to replace an older one, else within `WRITE_MS`. */
  set(did: string, value: Remembered, atOnce: boolean): void {
    this.#unwritten.set(did, value);
    if (atOnce || this.#unwritten.size >= MOST_UNWRITTEN) this.#writeAll();
    else this.#writing ??= setTimeout(() => this.#writeAll(), WRITE_MS).unref();
  }

  #writeAll(): void {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    const all = this.#unwritten;
    this.#unwritten = new Map();
    for (const [did, value] of all) this.#write(did, value).catch(this.#options.onLost);
  }

  async #write(did: string, value: Remembered): Promise<void> {
    const ttl = 'identity' in value ? this.#options.ttlMs : this.#options.negativeTtlMs;
    const text = JSON.stringify({ did, ...value });
    await this.#options.store.set(this.keyOf(did), text, 'PX', jitter(ttl));
  }

  async drop(did: string): Promise<void> {
    this.#unwritten.delete(did);
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
