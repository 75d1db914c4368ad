import type { Metrics } from '@headwater/ops';
import { type CacheStore, DocumentCache, type Remembered } from './cache.ts';
import type { Identity } from './document.ts';
import { IdentityError } from './errors.ts';
import type { HttpGet } from './http.ts';
import { Lru } from './lru.ts';
import { DocumentSource } from './source.ts';

export interface IdentityResolverOptions {
  get: HttpGet;
  plcUrl: string;
  metrics: Metrics;
  /** Redis; without it only this process remembers. */
  store?: CacheStore | undefined;
  keyPrefix?: string;
  /** How long a document is remembered in Redis, ± 10 %. */
  ttlMs?: number;
  /** How long it is remembered that a DID has no document, ± 10 %. */
  negativeTtlMs?: number;
  /** How long this process trusts its own memory: other processes' `drop` is not heard here. */
  memoryTtlMs?: number;
  /** DIDs in this process's memory. */
  memorySize?: number;
  /** DIDs in Redis. */
  cacheSlots?: number;
  /** Least time between two `refresh` of one DID: forged signatures must not become load on the directory. */
  refreshEveryMs?: number;
  plcConcurrency?: number;
  allowLocalhost?: boolean;
  timeoutMs?: number;
  tries?: number;
}

/** An account that has a repo somewhere. */
export type RepoIdentity = Identity & { pds: string; signingKey: string };

const NEGATIVE_TTL_MS = 5 * 60_000;

interface InMemory {
  value: Remembered;
  until: number;
}

/**
 * DID → identity. Asks this process's memory, then Redis, then the network;
 * questions for the same DID at the same time become one.
 */
export class IdentityResolver {
  readonly #source: DocumentSource;
  readonly #cache: DocumentCache | undefined;
  readonly #memory: Lru<InMemory>;
  readonly #refreshed: Lru<number>;
  readonly #inFlight = new Map<string, Promise<Remembered>>();
  readonly #memoryTtlMs: number;
  readonly #negativeTtlMs: number;
  readonly #refreshEveryMs: number;
  readonly #lookups;
  readonly #cacheErrors;

  constructor(options: IdentityResolverOptions) {
    const { store, memorySize = 20_000 } = options;
    this.#source = new DocumentSource({
      get: options.get,
      plcUrl: options.plcUrl,
      plcConcurrency: options.plcConcurrency ?? 10,
      allowLocalhost: options.allowLocalhost ?? false,
      timeoutMs: options.timeoutMs ?? 10_000,
      tries: options.tries ?? 3,
    });
    this.#memory = new Lru(memorySize);
    this.#refreshed = new Lru(memorySize);
    this.#memoryTtlMs = options.memoryTtlMs ?? 5 * 60_000;
    this.#negativeTtlMs = options.negativeTtlMs ?? NEGATIVE_TTL_MS;
    this.#refreshEveryMs = options.refreshEveryMs ?? 2_000;
    this.#lookups = options.metrics.counter(
      'identity_lookups_total',
      'DIDs looked up, by where the answer came from and what it was.',
      ['source', 'outcome'],
    );
    this.#cacheErrors = options.metrics.counter(
      'identity_cache_errors_total',
      'Reads and writes of the identity cache that failed; the directory was asked instead.',
    );
    const onLost = () => this.#cacheErrors.inc();
    this.#cache = store && new DocumentCache({ store, onLost, ...cacheDefaults(options) });
  }

  /**
   * What a DID's document says, as recently as the caches' time to live allows.
   *
   * @throws IdentityError of every reason but `no-pds`
   */
  async resolve(did: string): Promise<Identity> {
    this.#source.urlOf(did);
    const held = this.#memory.get(did);
    if (held && held.until > Date.now()) return this.#count('memory', did, held.value);
    const running = this.#inFlight.get(did);
    if (running) return this.#count('shared', did, await running);
    const cached = await this.#read(did);
    if (cached) {
      // A refresh that ended while Redis answered knows better.
      if (this.#memory.get(did) === held) this.#remember(did, cached);
      return this.#count('redis', did, cached);
    }
    return this.#count('network', did, await this.#fetch(did));
  }

  /**
   * As resolve, for accounts whose repo is wanted.
   *
   * @throws IdentityError also `no-pds`, and `bad-document` without a usable signing key
   */
  async resolveRepo(did: string): Promise<RepoIdentity> {
    return needRepo(await this.resolve(did));
  }

  /**
   * The document as it is published now, past every cache: for a signature
   * that does not verify, a PDS that does not know the account.
   *
   * @throws IdentityError as resolve
   */
  async refresh(did: string): Promise<Identity> {
    this.#source.urlOf(did);
    const last = this.#refreshed.get(did);
    if (last !== undefined && Date.now() - last < this.#refreshEveryMs) return this.resolve(did);
    this.#refreshed.set(did, Date.now());
    this.#inFlight.delete(did);
    return this.#count('refresh', did, await this.#fetch(did, true));
  }

  /** As refresh, for accounts whose repo is wanted. @throws IdentityError as resolveRepo */
  async refreshRepo(did: string): Promise<RepoIdentity> {
    return needRepo(await this.refresh(did));
  }

  /** Forgets a DID, after an `#identity` event. */
  async drop(did: string): Promise<void> {
    this.#memory.delete(did);
    this.#inFlight.delete(did);
    await this.#try(() => this.#cache?.drop(did));
  }

  #fetch(did: string, isRefresh = false): Promise<Remembered> {
    const running = this.#inFlight.get(did);
    if (running) return running;
    const fetching: Promise<Remembered> = this.#ask(did).then(
      (value) => {
        // Dropped or refreshed meanwhile: this document may be the old one.
        if (!this.#landed(did, fetching)) return value;
        this.#remember(did, value);
        this.#cache?.set(did, value, isRefresh);
        return value;
      },
      (err) => {
        this.#landed(did, fetching);
        throw err;
      },
    );
    this.#inFlight.set(did, fetching);
    return fetching;
  }

  /** It is in flight no more. @returns false when it was not, since another took its place */
  #landed(did: string, fetching: Promise<Remembered>): boolean {
    return this.#inFlight.get(did) === fetching && this.#inFlight.delete(did);
  }

  async #ask(did: string): Promise<Remembered> {
    try {
      return { identity: await this.#source.fetch(did) };
    } catch (err) {
      if (err instanceof IdentityError && err.reason !== 'unavailable') {
        return { reason: err.reason, message: err.message };
      }
      this.#lookups.inc({ source: 'network', outcome: 'unavailable' });
      throw err;
    }
  }

  #remember(did: string, value: Remembered): void {
    const ttl = 'identity' in value ? this.#memoryTtlMs : Math.min(this.#memoryTtlMs, this.#negativeTtlMs);
    this.#memory.set(did, { value, until: Date.now() + ttl });
  }

  async #read(did: string): Promise<Remembered | undefined> {
    return this.#try(() => this.#cache?.get(did));
  }

  /** A cache that fails costs a question to the directory, nothing else. */
  async #try<T>(task: () => Promise<T> | undefined): Promise<T | undefined> {
    try {
      return await task();
    } catch {
      this.#cacheErrors.inc();
      return undefined;
    }
  }

  #count(source: string, did: string, value: Remembered): Identity {
    this.#lookups.inc({ source, outcome: 'identity' in value ? 'found' : value.reason });
    if ('identity' in value) return value.identity;
    throw new IdentityError(value.reason, did, value.message);
  }
}

function cacheDefaults(options: IdentityResolverOptions) {
  return {
    slots: options.cacheSlots ?? 250_000,
    ttlMs: options.ttlMs ?? 24 * 3600_000,
    negativeTtlMs: options.negativeTtlMs ?? NEGATIVE_TTL_MS,
    keyPrefix: options.keyPrefix ?? 'identity',
  };
}

function needRepo(identity: Identity): RepoIdentity {
  const { did, pds, signingKey } = identity;
  if (!pds) throw new IdentityError('no-pds', did, 'the DID document names no PDS');
  if (!signingKey) throw new IdentityError('bad-document', did, 'the DID document has no usable signing key');
  return { ...identity, pds, signingKey };
}
