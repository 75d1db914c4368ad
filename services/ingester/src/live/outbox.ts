import { sleep } from '@headwater/ops';

export interface OutboxOptions<T> {
  /** Makes a batch durable; none: something else is to be written (a cursor). One call at a time. */
  write: (batch: T[], signal: AbortSignal) => Promise<void>;
  size: (item: T) => number;
  /** Items and bytes of one batch, at most. */
  maxItems: number;
  maxBytes: number;
  /** Least time from one write to the next, in ms. */
  paceMs: number;
}

/**
 * Writes what is ready as soon as nothing is being written: what comes
 * meanwhile is the next batch. So a lone item waits for nothing, and batches
 * grow with the load by themselves. Holds two batches at most beside the one
 * that is on its way; above that `room` waits.
 */
export class Outbox<T> {
  readonly #options: OutboxOptions<T>;
  #items: T[] = [];
  #bytes = 0;
  #isPoked = false;
  #wake: (() => void) | undefined;
  #onRoom: (() => void)[] = [];

  constructor(options: OutboxOptions<T>) {
    this.#options = options;
  }

  get length(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#bytes += this.#options.size(item);
    this.#wake?.();
  }

  /** Something besides items is to be written. */
  poke(): void {
    this.#isPoked = true;
    this.#wake?.();
  }

  /** Waits until it is worth putting more in. @throws the signal's reason */
  async room(signal: AbortSignal): Promise<void> {
    while (this.#isFull()) {
      signal.throwIfAborted();
      await untilCalled((go) => this.#onRoom.push(go), signal);
    }
    signal.throwIfAborted();
  }

  /**
   * Writes until the signal aborts.
   *
   * @throws what `write` throws
   */
  async run(signal: AbortSignal): Promise<void> {
    let last = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      if (this.#items.length === 0 && !this.#isPoked) {
        await untilCalled((go) => {
          this.#wake = go;
        }, signal);
        continue;
      }
      const early = last + this.#options.paceMs - performance.now();
      if (early > 0) await sleep(early, signal);
      if (signal.aborted) return;
      last = performance.now();
      this.#isPoked = false;
      await this.#options.write(this.#take(), signal);
    }
  }

  #take(): T[] {
    const { maxItems, maxBytes, size } = this.#options;
    let bytes = 0;
    let end = 0;
    while (end < this.#items.length && end < maxItems && bytes < maxBytes) bytes += size(this.#items[end++]!);
    const batch = this.#items.slice(0, end);
    this.#items = this.#items.slice(end);
    this.#bytes -= bytes;
    if (!this.#isFull()) for (const go of this.#onRoom.splice(0)) go();
    return batch;
  }

  #isFull(): boolean {
    return this.#items.length >= 2 * this.#options.maxItems || this.#bytes >= 2 * this.#options.maxBytes;
  }
}

/** Resolves when what was handed to `register` is called, or the signal aborts. */
async function untilCalled(register: (go: () => void) => void, signal: AbortSignal): Promise<void> {
  let stop: (() => void) | undefined;
  await new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    stop = resolve;
    register(resolve);
    signal.addEventListener('abort', resolve as () => void, { once: true });
  });
  if (stop) signal.removeEventListener('abort', stop);
}
