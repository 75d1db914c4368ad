import { randomUUID } from 'node:crypto';
import { type Logger, sleep } from '@headwater/ops';
import { FencedError, type Redis, Script } from '@headwater/streams';

/** The lease ran out or another copy has it: stop writing. */
export class LeaseLostError extends Error {
  override name = 'LeaseLostError';
  key: string;
  constructor(key: string, why: string) {
    super(`the lease ${key} is lost: ${why}`);
    this.key = key;
  }
}

export interface LeaseOptions {
  redis: Redis;
  key: string;
  /** How long a copy that died keeps the others waiting, in milliseconds. */
  ttlMs: number;
  signal: AbortSignal;
  log: Logger;
  /** Called after every attempt and at the end. */
  onHeld?: (held: boolean) => void;
}

/** What a producer hands to Redis with every append, so that only the holder writes. */
export interface Guard {
  key: string;
  value: string;
}

const renewScript = new Script(
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
   return redis.call('PEXPIRE', KEYS[1], ARGV[2])`,
);
const releaseScript = new Script(
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
   return redis.call('DEL', KEYS[1])`,
);

/**
 * Runs a task in one copy of the service at a time.
 *
 *     waiting ──SET NX──► held ──renewed every third of the ttl──► held
 *        ▲                  │ the ttl has passed since the last renewal was
 *        └───── lost ◄──────┘ sent, or another copy's token is there
 *
 * The holder's signal aborts before the key can expire (measured from when the
 * renewal was sent, with a tenth to spare). A process that was frozen past that
 * can still not write: the guard goes with every append, and Redis holds it
 * against the key in the step of the append itself.
 *
 * @throws what the task throws while it has the lease; without it the task's end counts for nothing
 */
export async function underLease(
  options: LeaseOptions,
  task: (signal: AbortSignal, guard: Guard) => Promise<void>,
): Promise<void> {
  const { signal, log, key, onHeld } = options;
  while (!signal.aborted) {
    await using lease = await acquire(options);
    if (lease === undefined) return;
    log.info({ lease: key }, 'holds the lease');
    onHeld?.(true);
    try {
      await task(lease.signal, lease.guard);
      if (!lease.lost) return;
    } catch (err) {
      if (!lease.lost && !(err instanceof FencedError)) throw err;
    } finally {
      onHeld?.(false);
    }
    if (!signal.aborted) log.warn({ err: lease.lost }, 'lost the lease; waiting for it again');
  }
}

/** Waits for the lease; undefined when the signal aborts first. */
async function acquire(options: LeaseOptions): Promise<HeldLease | undefined> {
  const { redis, key, ttlMs, signal } = options;
  const token = randomUUID();
  while (!signal.aborted) {
    const sentAt = performance.now();
    const taken = await redis.set(key, token, 'PX', ttlMs, 'NX');
    if (taken === 'OK') return new HeldLease(options, token, sentAt);
    options.onHeld?.(false);
    await sleep(ttlMs / 4 + (Math.random() * ttlMs) / 8, signal);
  }
  return undefined;
}

class HeldLease implements AsyncDisposable {
  readonly #options: LeaseOptions;
  readonly #token: string;
  readonly #lost = new AbortController();
  readonly #released = new AbortController();
  readonly #renewing: Promise<void>;
  #expiry: NodeJS.Timeout | undefined;

  constructor(options: LeaseOptions, token: string, sentAt: number) {
    this.#options = options;
    this.#token = token;
    this.#validSince(sentAt);
    this.#renewing = this.#renew();
  }

  /** Aborts when the lease is lost, or by the caller's signal. */
  get signal(): AbortSignal {
    return AbortSignal.any([this.#options.signal, this.#lost.signal]);
  }

  get guard(): Guard {
    return { key: this.#options.key, value: this.#token };
  }

  /** Why the lease is lost, if it is. */
  get lost(): LeaseLostError | undefined {
    return this.#lost.signal.reason;
  }

  async #renew(): Promise<void> {
    const { redis, key, ttlMs } = this.#options;
    const ended = AbortSignal.any([this.#released.signal, this.#lost.signal]);
    for (;;) {
      await sleep(ttlMs / 3, ended);
      if (ended.aborted) return;
      const sentAt = performance.now();
      const renewed = await renewScript.run(redis, [key], [this.#token, ttlMs]).catch(() => undefined);
      if (renewed === 1) this.#validSince(sentAt);
      else if (renewed === 0) this.#lose('another copy has it');
    }
  }

  #validSince(sentAt: number): void {
    clearTimeout(this.#expiry);
    if (this.#lost.signal.aborted) return;
    const leftMs = sentAt + this.#options.ttlMs * 0.9 - performance.now();
    this.#expiry = setTimeout(() => this.#lose('it could not be renewed in time'), Math.max(0, leftMs));
  }

  #lose(why: string): void {
    this.#lost.abort(new LeaseLostError(this.#options.key, why));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#released.abort();
    clearTimeout(this.#expiry);
    if (this.#lost.signal.aborted) return;
    // Not waited for when Redis is away: the lease then ends by itself.
    const { redis, key } = this.#options;
    const release = releaseScript.run(redis, [key], [this.#token]).catch(() => {});
    await Promise.race([release, sleep(1000)]);
    await Promise.race([this.#renewing, sleep(100)]);
  }
}
