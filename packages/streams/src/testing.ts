/** For this package's tests. */
import { useRedis } from '../../../test/support/index.ts';
import type { Redis } from './connect.ts';
import { consume } from './consume.ts';
import { RewoundError } from './errors.ts';
import type { Delivered } from './hand.ts';
import { readCursor } from './keys.ts';
import { lagOf } from './lag.ts';
import type { ConsumeOptions } from './options.ts';
import { Producer } from './producer.ts';
import type { Fields } from './types.ts';

/** A Redis of the test file's own, and streams on it. */
export function useStreams(options?: Parameters<typeof useRedis>[0]) {
  const used = useRedis(options);
  /** The name of a new stream with so many numbers. */
  const filled = async (count: number): Promise<string> => {
    const stream = newStream();
    await new Producer(used.redis, stream).append(numbers(0, count));
    return stream;
  };
  const quiet = (stream: string) => () => isQuiet(used.redis, stream);
  return { used, filled, quiet };
}

let streams = 0;
/** A stream name that no other test of the file uses. */
export function newStream(): string {
  return `stream${++streams}`;
}

/** Entries with the numbers from `from` (included) to `to` (excluded). */
export function numbers(from: number, to: number): Fields[] {
  return Array.from({ length: to - from }, (_, i) => ({ n: String(from + i) }));
}

export function range(to: number): number[] {
  return Array.from({ length: to }, (_, i) => i);
}

export const sorted = (values: number[]): number[] => [...values].sort((a, b) => a - b);

/** Resolves when the condition holds; fails after `ms` with what `show` says. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { ms = 10_000, show = () => '' }: { ms?: number; show?: () => string } = {},
): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${condition} ${show()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Appends the numbers below `total` in batches of 20, as a service would: with
 * a cursor, and from the cursor on where Redis has lost what it had confirmed.
 */
export async function produceNumbers(producer: Producer, redis: Redis, total: number): Promise<void> {
  for (let n = 0; n < total; ) {
    try {
      await producer.append(numbers(n, n + 20), { cursor: { host: 'test', value: String(n + 20) } });
      n += 20;
    } catch (error) {
      if (!(error instanceof RewoundError)) throw error;
      n = Number(await readCursor(redis, producer.stream, 'test'));
    }
  }
}

type NumberOptions = Partial<ConsumeOptions<number>> & Pick<ConsumeOptions<number>, 'redis' | 'stream'>;

/** A running consumer of entries as `numbers` makes them, with quick pauses. */
export interface NumberConsumer extends AsyncDisposable {
  /** Numbers of all batches whose write resolved. */
  written: number[];
  /** Every batch that write was called with. */
  batches: number[][];
  stop(): Promise<void>;
  ended: Promise<void>;
}

export function consumeNumbers(options: NumberOptions): NumberConsumer {
  const written: number[] = [];
  const batches: number[][] = [];
  const controller = new AbortController();
  const ended = consume<number>({
    group: 'group',
    consumer: 'one',
    decode: (fields) => Number(fields['n']),
    batchMs: 5,
    retryMs: { base: 10, max: 50 },
    claimIdleMs: 300,
    drainMs: 2000,
    signal: controller.signal,
    ...options,
    write: async (batch: readonly Delivered<number>[], signal) => {
      batches.push(batch.map((entry) => entry.item));
      const verdicts = await options.write?.(batch, signal);
      const except = new Set<unknown>(verdicts?.map(({ entry }) => entry));
      written.push(...batch.filter((entry) => !except.has(entry)).map((entry) => entry.item));
      return verdicts;
    },
  });
  const stop = async () => {
    controller.abort();
    await ended;
  };
  return { written, batches, stop, ended, [Symbol.asyncDispose]: stop };
}

/** Is the stream done with: nothing in it, pending or parked? */
export async function isQuiet(redis: Redis, stream: string, group = 'group'): Promise<boolean> {
  const { length, pending, parked, exists } = await lagOf(redis, stream, group);
  return exists && length === 0 && pending === 0 && parked === 0;
}
