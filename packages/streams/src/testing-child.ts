/**
 * A consumer process for the tests to kill. What it has written is counted in
 * Redis, `STREAM:written` (number → times); `kindOf` says what each number
 * does to its writer.
 */
import { TransientError } from '@headwater/ops';
import { connect } from './connect.ts';
import { consume } from './consume.ts';
import type { Delivered } from './hand.ts';
import type { Verdict } from './options.ts';

export interface ChildOptions {
  url: string;
  stream: string;
  consumer: string;
  seed: number;
  /** Share of the numbers with a kind other than `plain`. */
  mischief: number;
  /** This number kills its writer. */
  deadly?: number;
  /** With keys, in lanes; else workers pull. */
  keyed: boolean;
  maxAttempts?: number;
  writeMs: number;
  claimIdleMs: number;
}

export type Kind = 'plain' | 'poison' | 'flaky' | 'transient' | 'dropped' | 'later' | 'dead' | 'undecodable';
const kinds: Kind[] = ['poison', 'flaky', 'transient', 'dropped', 'later', 'dead', 'undecodable'];

/** What number `n` does under a seed; the same in every process. */
export function kindOf(n: number, seed: number, mischief: number): Kind {
  const hash = Math.imul(n + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b);
  const even = (Math.imul(hash ^ (hash >>> 15), 0xc2b2ae35) >>> 0) / 2 ** 32;
  return even < mischief ? kinds[Math.floor((even / mischief) * kinds.length)]! : 'plain';
}

async function main(options: ChildOptions): Promise<void> {
  const { url, stream, consumer, seed, mischief, keyed } = options;
  const redis = connect(url);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort());
  const tries = new Map<number, number>();
  const kind = (n: number) => kindOf(n, seed, mischief);

  const check = (batch: readonly Delivered<number>[]) => {
    for (const { item } of batch) {
      const times = (tries.get(item) ?? 0) + 1;
      tries.set(item, times);
      if (item === options.deadly) process.kill(process.pid, 'SIGKILL');
      if (kind(item) === 'poison') throw new Error('poison');
      if (kind(item) === 'flaky' && times === 1) throw new Error('flaky');
      if (kind(item) === 'transient' && times < 3) throw new TransientError('transient');
    }
  };
  const judge = (entry: Delivered<number>): Verdict<number>[] => {
    const again = tries.get(entry.item)! > 1;
    if (kind(entry.item) === 'dropped') return [{ entry, outcome: 'dropped', reason: 'test' }];
    if (kind(entry.item) === 'dead') return [{ entry, outcome: 'dead', reason: 'test' }];
    if (kind(entry.item) !== 'later' || again) return [];
    return [{ entry, outcome: 'later', reason: 'test', afterMs: 50 }];
  };

  await consume<number>({
    redis,
    stream,
    group: 'group',
    consumer,
    decode: ({ n }) => {
      if (kind(Number(n)) === 'undecodable') throw new SyntaxError('undecodable');
      return Number(n);
    },
    ...(keyed
      ? { key: (n: number) => String(n % 20), lanes: 3, batchItems: 25, batchMs: 5 }
      : { concurrency: 8 }),
    write: async (batch) => {
      await new Promise((resolve) => setTimeout(resolve, options.writeMs * Math.random()));
      check(batch);
      const verdicts = batch.flatMap(judge);
      const except = new Set(verdicts.map(({ entry }) => entry));
      for (const entry of batch) {
        if (!except.has(entry)) await redis.hincrby(`${stream}:written`, String(entry.item), 1);
      }
      return verdicts;
    },
    maxAttempts: options.maxAttempts ?? 4,
    retryMs: { base: 20, max: 100 },
    parkAboveMs: 30,
    claimIdleMs: options.claimIdleMs,
    drainMs: 1000,
    signal: stop.signal,
  });
  redis.disconnect();
}

if (process.argv[1] === import.meta.filename) await main(JSON.parse(process.argv[2]!));
