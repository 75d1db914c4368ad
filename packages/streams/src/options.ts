import type { Redis } from './connect.ts';
import type { Delivered } from './hand.ts';
import { keysOf } from './keys.ts';
import { noMetrics, type StreamMetrics } from './metrics.ts';
import { type Log, type ReadFields, silent } from './types.ts';

/**
 * What becomes of one entry of a batch where it is not simply written.
 *
 * - `dropped`: deliberately left out, for a counted reason; it is done with.
 * - `later`: not now (its host is parked). It leaves the stream and comes back
 *   after `afterMs`, also after a restart; no failed try is counted.
 * - `failed`: a failed try of this entry alone; tried again after a pause
 *   (`afterMs`, or a growing one), dead after `maxAttempts`.
 * - `dead`: to the dead letters at once.
 */
export type Verdict<T> =
  | { entry: Delivered<T>; outcome: 'dropped'; reason: string }
  | { entry: Delivered<T>; outcome: 'later'; reason: string; afterMs: number }
  | { entry: Delivered<T>; outcome: 'failed'; error: unknown; afterMs?: number }
  | { entry: Delivered<T>; outcome: 'dead'; reason: string; error?: unknown };

/** What `onDead` hears of. */
export interface Burial {
  stream: string;
  id: string;
  reason: string;
  error: unknown;
  attempts: number;
}

export interface ConsumeOptions<T> {
  redis: Redis;
  /** One stream, or several of one slot, the most urgent first. */
  stream: string | readonly string[];
  group: string;
  /** This process's name in the group; a restarted process may take its old one, two running ones must differ. */
  consumer: string;
  /** Makes an item of an entry. Throwing sends the entry to the dead letters, under the error's `reason` if it has one. */
  decode(fields: ReadFields, id: string): T;
  /**
   * Writes a batch durably; it must be idempotent, since an entry may come
   * twice. Resolved: all entries are done, but those that a verdict names.
   * Thrown: TransientError pauses and repeats the batch; anything else halves
   * it until the entry at fault is alone. The signal aborts when the time to
   * drain is over.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a write that has nothing to say returns nothing
  write(batch: readonly Delivered<T>[], signal: AbortSignal): Promise<readonly Verdict<T>[] | void>;
  /** Entries with equal keys are never written at once. Without it, `concurrency` workers pull. */
  key?(item: T): string;
  /** Bytes of an item; by default those of the entry's fields. */
  size?(item: T): number;
  /** How much of `batchItems` an item takes, 1 by default. */
  count?(item: T): number;
  /** Batches written at once, with `key`. */
  lanes?: number;
  /** Batches written at once, without `key`. */
  concurrency?: number;
  batchItems?: number;
  batchBytes?: number;
  batchMs?: number;
  /** Entries and bytes read and not ended; reading waits above that. */
  maxEntries?: number;
  maxBytes?: number;
  /** Failed tries (or processes that died of it) before an entry goes to the dead letters. */
  maxAttempts?: number;
  /** Pauses between the tries of one entry, and of a batch after a TransientError. */
  retryMs?: { base: number; max: number };
  /** A longer pause of one entry is spent in Redis, like `later`: it takes no room here and outlives the process. */
  parkAboveMs?: number;
  /** Entries that their consumer has not touched for so long are taken over. */
  claimIdleMs?: number;
  /** Consumers that are silent for so long and hold nothing are removed from the group. */
  forgetConsumerMs?: number;
  /** Time to finish the batches being written after the signal. */
  drainMs?: number;
  signal: AbortSignal;
  log?: Log;
  metrics?: StreamMetrics;
  /** Called after an entry went to the dead letters. */
  onDead?(burial: Burial): void;
}

export type Settings<T> = Required<Omit<ConsumeOptions<T>, 'key' | 'size' | 'count' | 'stream' | 'onDead'>> &
  Pick<ConsumeOptions<T>, 'key' | 'size' | 'count' | 'onDead'> & { streams: readonly string[] };

/** The options with every default in its place. */
export function withDefaults<T>(options: ConsumeOptions<T>): Settings<T> {
  const { redis, stream, key } = options;
  const lanes = options.lanes ?? 4;
  const concurrency = options.concurrency ?? 10;
  const batchItems = options.batchItems ?? (key ? 500 : 1);
  const workers = key ? lanes : concurrency;
  return {
    batchBytes: 16 * 2 ** 20,
    batchMs: key ? 100 : 0,
    // Pulling workers read no further ahead than needed, so that idle siblings find work.
    maxEntries: workers * batchItems * (key ? 2 : 1),
    maxBytes: 128 * 2 ** 20,
    maxAttempts: 5,
    retryMs: { base: 1000, max: 60_000 },
    parkAboveMs: 2000,
    claimIdleMs: 60_000,
    forgetConsumerMs: 600_000,
    drainMs: 10_000,
    log: silent,
    metrics: noMetrics,
    ...options,
    lanes,
    concurrency,
    batchItems,
    streams: [stream].flat().map((name) => keysOf(redis, name).stream),
  };
}
