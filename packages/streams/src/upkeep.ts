import { sleep } from '@headwater/ops';
import { replyCode } from './errors.ts';
import type { Hand } from './hand.ts';
import { keysOf } from './keys.ts';
import type { Settings } from './options.ts';
import { tidyScript, touchScript, trimScript, wakeScript } from './scripts/group.ts';

const wakeEveryMs = 500;
const trimEveryMs = 2000;
const tidyEveryMs = 30_000;
const chunk = 1000;

/** What a consumer does besides reading and writing, until the signal aborts. */
export class Upkeep<T> {
  readonly #settings: Settings<T>;
  readonly #hand: Hand<T>;

  constructor(settings: Settings<T>, hand: Hand<T>) {
    this.#settings = settings;
    this.#hand = hand;
  }

  /** Brings parked entries back, trims what every group is done with, forgets consumers that are gone. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#every(wakeEveryMs, signal, (stream) => this.#wake(stream)),
      this.#every(trimEveryMs, signal, (stream) => trimScript.run(this.#settings.redis, [stream], [])),
      this.#every(tidyEveryMs, signal, (stream) => this.#tidy(stream)),
    ]);
  }

  /** Keeps what is in hand from being taken over while it is worked on. Runs until the last write has ended. */
  async keep(signal: AbortSignal): Promise<void> {
    await this.#every(this.#settings.claimIdleMs / 3, signal, (stream) => this.#touch(stream));
  }

  /** Removes this consumer from the group, if it holds nothing. */
  async leave(): Promise<void> {
    const { redis, streams, group, consumer } = this.#settings;
    for (const stream of streams) await tidyScript.run(redis, [stream], [group, consumer, 0]);
  }

  async #wake(stream: string): Promise<void> {
    const { redis } = this.#settings;
    const { attempts, later } = keysOf(redis, stream);
    let woken = 100;
    while (woken === 100) {
      woken = (await wakeScript.run(redis, [stream, attempts, later], [Date.now(), 100])) as number;
    }
  }

  async #tidy(stream: string): Promise<void> {
    const { redis, group, consumer, forgetConsumerMs, log } = this.#settings;
    const removed = (await tidyScript.run(redis, [stream], [group, consumer, forgetConsumerMs])) as string[];
    if (removed.length > 0) log.info({ stream, group, removed }, 'removed consumers that are gone');
  }

  async #touch(stream: string): Promise<void> {
    const { redis, group, consumer, metrics, log } = this.#settings;
    const keys = [stream, keysOf(redis, stream).attempts];
    const held = this.#hand.of(stream);
    for (let at = 0; at < held.length; at += chunk) {
      const ids = held.slice(at, at + chunk).map((entry) => entry.id);
      const lost = (await touchScript.run(redis, keys, [group, consumer, 0, -1, ...ids])) as string[];
      let dropped = 0;
      for (const id of lost) {
        const entry = this.#hand.get(stream, id);
        if (entry && !entry.writing && this.#hand.remove(entry)) dropped++;
      }
      if (dropped === 0) continue;
      log.warn({ stream, entries: dropped }, 'entries were taken over or deleted by others');
      metrics.ended(stream, 'lost', 'taken-over', dropped);
    }
  }

  async #every(ms: number, signal: AbortSignal, task: (stream: string) => Promise<unknown>): Promise<void> {
    while (!signal.aborted) {
      for (const stream of this.#settings.streams) {
        await task(stream).catch((err) => {
          // The reader mends a missing group.
          if (replyCode(err) === 'NOGROUP' || signal.aborted) return;
          this.#settings.log.warn({ err, stream }, 'upkeep of a stream failed; it is tried again');
        });
      }
      await sleep(ms, signal);
    }
  }
}
