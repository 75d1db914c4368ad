/** An entry as `write` gets it. */
export interface Delivered<T> {
  readonly stream: string;
  readonly id: string;
  readonly item: T;
  /** Failed tries so far. */
  readonly attempts: number;
  /** How often consumers were given it; above 1, one died with it or gave it back. */
  readonly deliveries: number;
}

/** An entry in this consumer's hands, with what is known about it here. */
export interface Held<T> extends Delivered<T> {
  attempts: number;
  /** Time of the first failed try, in ms. */
  first?: number;
  bytes: number;
  count: number;
  key: string;
  /** Written by itself: it failed before, or it is suspect. */
  alone: boolean;
  /** Consumers died with it in hand, perhaps of it. */
  suspect: boolean;
  /** Is it being written, so that losing it changes nothing any more? */
  writing: boolean;
}

/** Everything that one consumer has read and not ended, bounded in entries and bytes. */
export class Hand<T> {
  readonly #held = new Map<string, Held<T>>();
  readonly #limits: { entries: number; bytes: number };
  readonly #changed: () => void;
  readonly #removed: (entry: Held<T>) => void;
  #bytes = 0;
  #waiting: (() => void) | undefined;
  /** Bytes to expect of an entry: the mean of the last ones, and an eighth of the largest. */
  #expected: { mean: number; peak: number };

  /** @param on hears of how much is in hand, and of each entry that is in hand no more */
  constructor(
    limits: { entries: number; bytes: number },
    on: { changed(entries: number, bytes: number): void; removed(entry: Held<T>): void },
  ) {
    this.#limits = limits;
    this.#removed = on.removed;
    // Pessimistic before the first entry: a few reads of few entries, then it is known.
    this.#expected = { mean: limits.bytes / 10, peak: 0 };
    this.#changed = () => on.changed(this.#held.size, this.#bytes);
  }

  get size(): number {
    return this.#held.size;
  }

  /** How many entries may be read now; by the sizes of the last ones their bytes fit as well. */
  room(): number {
    const entries = this.#limits.entries - this.#held.size;
    const bytes = this.#limits.bytes - this.#bytes;
    if (entries <= 0 || bytes <= 0) return 0;
    const each = Math.max(this.#expected.mean, this.#expected.peak / 8, 1);
    return Math.min(entries, Math.max(1, Math.floor(bytes / each)));
  }

  /** Resolves when there is room, or when the signal aborts. */
  untilRoom(signal: AbortSignal): Promise<void> {
    if (this.room() > 0 || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = () => {
        this.#waiting = undefined;
        signal.removeEventListener('abort', wake);
        resolve();
      };
      const wake = () => this.#waiting?.();
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  has(stream: string, id: string): boolean {
    return this.#held.has(keyOf(stream, id));
  }

  add(entry: Held<T>): void {
    this.#held.set(keyOf(entry.stream, entry.id), entry);
    this.#bytes += entry.bytes;
    const { mean, peak } = this.#expected;
    this.#expected = { mean: mean * 0.98 + entry.bytes * 0.02, peak: Math.max(peak * 0.999, entry.bytes) };
    this.#changed();
  }

  /** @returns false when it was no longer here */
  remove(entry: Held<T>): boolean {
    if (!this.#held.delete(keyOf(entry.stream, entry.id))) return false;
    this.#bytes -= entry.bytes;
    this.#removed(entry);
    this.#changed();
    this.#wake();
    return true;
  }

  get(stream: string, id: string): Held<T> | undefined {
    return this.#held.get(keyOf(stream, id));
  }

  of(stream: string): Held<T>[] {
    return [...this.#held.values()].filter((entry) => entry.stream === stream);
  }

  #wake(): void {
    if (this.#waiting && this.room() > 0) this.#waiting();
  }
}

function keyOf(stream: string, id: string): string {
  return `${stream} ${id}`;
}
