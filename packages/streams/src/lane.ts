import type { Hand, Held } from './hand.ts';

export interface BatchLimits {
  items: number;
  bytes: number;
  /** How long a batch waits for more, from its first entry on. */
  ms: number;
}

/**
 * A queue of entries that workers take batches from. Keyed entries have a
 * lane with one worker, so that two batches with the same key never run at
 * once; entries without a key share one lane that many workers pull from.
 */
export class Lane<T> {
  readonly #limits: BatchLimits;
  readonly #hand: Hand<T>;
  #queue: { entry: Held<T>; at: number }[] = [];
  #head = 0;
  #waiting: (() => void)[] = [];
  /** Items that are queued or being written. */
  load = 0;

  constructor(limits: BatchLimits, hand: Hand<T>) {
    this.#limits = limits;
    this.#hand = hand;
  }

  push(entry: Held<T>): void {
    this.#queue.push({ entry, at: Date.now() });
    this.#waiting.shift()?.();
  }

  /** The next batch, full or ripe; undefined once the signal aborts. Never empty. */
  async take(signal: AbortSignal): Promise<Held<T>[] | undefined> {
    while (!signal.aborted) {
      this.#skipLost();
      const { count, ready } = this.#look();
      const batch = ready ? this.#cut(count) : [];
      if (batch.length > 0) return batch;
      if (ready) continue;
      const first = this.#queue[this.#head];
      await this.#change(first ? first.at + this.#limits.ms - Date.now() : undefined, signal);
    }
    return undefined;
  }

  /** Entries that another consumer has taken over meanwhile are not written here. */
  #skipLost(): void {
    while (this.#head < this.#queue.length && !this.#isHeld(this.#queue[this.#head]!.entry)) this.#head++;
  }

  #isHeld(entry: Held<T>): boolean {
    return this.#hand.get(entry.stream, entry.id) === entry;
  }

  /** How many queued entries the next batch takes, and whether it need not wait for more. */
  #look(): { count: number; ready: boolean } {
    let items = 0;
    let bytes = 0;
    let count = 0;
    for (let i = this.#head; i < this.#queue.length; i++, count++) {
      const { entry } = this.#queue[i]!;
      if (entry.alone) return { count: Math.max(count, 1), ready: true };
      items += entry.count;
      bytes += entry.bytes;
      if (count > 0 && (items > this.#limits.items || bytes > this.#limits.bytes))
        return { count, ready: true };
      if (items >= this.#limits.items || bytes >= this.#limits.bytes)
        return { count: count + 1, ready: true };
    }
    const first = this.#queue[this.#head];
    return { count, ready: first !== undefined && Date.now() >= first.at + this.#limits.ms };
  }

  #cut(count: number): Held<T>[] {
    const batch = this.#queue.slice(this.#head, this.#head + count).map(({ entry }) => entry);
    this.#head += count;
    if (this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    const held = batch.filter((entry) => this.#isHeld(entry));
    for (const entry of held) entry.writing = true;
    return held;
  }

  #change(ms: number | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        const at = this.#waiting.indexOf(done);
        if (at >= 0) this.#waiting.splice(at, 1);
        resolve();
      };
      const timer = ms === undefined ? undefined : setTimeout(done, Math.max(ms, 0) + 1);
      signal.addEventListener('abort', done, { once: true });
      this.#waiting.push(done);
    });
  }
}
