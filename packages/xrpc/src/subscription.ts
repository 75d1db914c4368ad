/** What can be told to stop sending and to go on, and be closed. */
export interface Tap {
  pause(): void;
  resume(): void;
  readonly isPaused: boolean;
  terminate(): void;
}

export interface BatchOptions {
  maxItems: number;
  maxBytes: number;
  /** Longest wait from a batch's first frame to its delivery, in milliseconds. */
  maxWaitMs: number;
}

/** What a waiting frame costs beside its bytes. */
const overheadBytes = 256;

/**
 * The frames of one connection for its one consumer: singly by `for await`, or
 * in batches. Bounded in bytes by pausing the socket. What was received before
 * the connection ended is delivered first, then its error is thrown; a clean
 * end just ends. Leaving the loop closes the connection.
 */
export class Subscription implements AsyncIterable<Uint8Array>, Disposable {
  readonly #queueBytes: number;
  readonly #tap: Tap;
  #frames: Uint8Array[] = [];
  /** Frames before this one are delivered already. */
  #first = 0;
  #bytes = 0;
  #ended = false;
  #reason: unknown;
  #wake: (() => void) | undefined;
  #onEnd: (() => void) | undefined;

  /** @param queueBytes above this the tap is paused until half of it is left */
  constructor(queueBytes: number, tap: Tap, onEnd?: () => void) {
    this.#queueBytes = queueBytes;
    this.#tap = tap;
    this.#onEnd = onEnd;
  }

  /** A frame has arrived. */
  push(frame: Uint8Array): void {
    if (this.#ended) return;
    this.#frames.push(frame);
    this.#bytes += frame.byteLength + overheadBytes;
    if (this.#bytes >= this.#queueBytes && !this.#tap.isPaused) this.#tap.pause();
    this.#wake?.();
  }

  /** No more frames; the first reason counts, `undefined` is a clean end. */
  end(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reason = reason;
    this.#onEnd?.();
    this.#tap.terminate();
    this.#wake?.();
  }

  [Symbol.dispose](): void {
    this.end(undefined);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for await (const batch of this.batches({ maxItems: 64, maxBytes: 2 ** 20, maxWaitMs: 0 })) yield* batch;
  }

  /**
   * The same frames in batches: one is delivered when it is full or its first
   * frame has waited long enough. Frames that arrive while the consumer is busy
   * wait in the bounded queue.
   *
   * @throws the reason of the end
   */
  async *batches(options: BatchOptions): AsyncGenerator<Uint8Array[]> {
    try {
      while (await this.#some()) {
        await this.#fill(options);
        yield this.#take(options);
      }
      if (this.#reason !== undefined) throw this.#reason;
    } finally {
      this.end(undefined);
    }
  }

  get #count(): number {
    return this.#frames.length - this.#first;
  }

  /** Waits for a first frame; false when there is none and none will come. */
  async #some(): Promise<boolean> {
    while (this.#count === 0 && !this.#ended) await this.#signal();
    return this.#count > 0;
  }

  async #fill({ maxItems, maxBytes, maxWaitMs }: BatchOptions): Promise<void> {
    const until = performance.now() + maxWaitMs;
    while (this.#count < maxItems && this.#bytes < maxBytes && !this.#ended && !this.#tap.isPaused) {
      const left = until - performance.now();
      if (left <= 0) return;
      await this.#signal(left);
    }
  }

  #take({ maxItems, maxBytes }: BatchOptions): Uint8Array[] {
    let bytes = 0;
    let end = this.#first;
    while (end < this.#frames.length && end - this.#first < maxItems && bytes < maxBytes) {
      bytes += this.#frames[end++]!.byteLength + overheadBytes;
    }
    const batch = this.#frames.slice(this.#first, end);
    this.#first = end;
    // Moving the rest down is worth it only now and then.
    if (end === this.#frames.length || end > 4096) {
      this.#frames = this.#frames.slice(end);
      this.#first = 0;
    }
    this.#bytes -= bytes;
    if (this.#bytes < this.#queueBytes / 2 && this.#tap.isPaused && !this.#ended) this.#tap.resume();
    return batch;
  }

  /** Resolves at the next frame, at the end, or after `ms`. */
  async #signal(ms?: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (ms !== undefined) timer = setTimeout(resolve, ms);
    });
    clearTimeout(timer);
    this.#wake = undefined;
  }
}
