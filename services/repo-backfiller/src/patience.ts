import type { Slot } from './slots.ts';

/** A host may keep us waiting for so long in one stretch before its fetch lends its slot, in ms. */
const PATIENCE_MS = 500;
/** Bytes a second that win it back. */
const STEADY = 64 * 1024;

/**
 * One fetch's waiting for its host. Waiting uses patience up, bytes at a steady
 * pace restore it; without any the slot goes to others, whose hosts answer.
 * So a host that hangs or trickles costs the others nothing.
 */
export class Patience {
  readonly #slot: Slot;
  readonly #signal: AbortSignal;
  #leftMs = PATIENCE_MS;

  constructor(slot: Slot, signal: AbortSignal) {
    this.#slot = slot;
    this.#signal = signal;
  }

  /** An answer's head, or a small answer. The slot may be lent afterwards: see `resume`. */
  async wait<T>(answer: Promise<T>): Promise<T> {
    const from = performance.now();
    const timer = setTimeout(() => this.#slot.lend(), this.#leftMs);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
      this.#leftMs = Math.max(0, this.#leftMs - (performance.now() - from));
    }
  }

  /** A body as it comes. At its end the slot is had again. */
  body(source: AsyncIterable<Uint8Array>): AsyncIterableIterator<Uint8Array> {
    const chunks = source[Symbol.asyncIterator]();
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => this.#next(chunks),
      return: async () => (await chunks.return?.()) ?? { done: true, value: undefined },
    };
  }

  async #next(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    const next = await this.wait(chunks.next());
    if (!next.done) {
      const earnedMs = (next.value.byteLength / STEADY) * 1000;
      this.#leftMs = Math.min(PATIENCE_MS, this.#leftMs + earnedMs);
    }
    if (this.#slot.isLent && (next.done || this.#leftMs > PATIENCE_MS / 2)) await this.resume();
    return next;
  }

  /** Has the slot again before there is work to do. */
  async resume(): Promise<void> {
    await this.#slot.takeAgain(this.#signal);
  }
}
