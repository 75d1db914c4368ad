import type { Dispatcher } from 'undici';

/** The head of an answer; names of headers in lower case. */
export interface Head {
  status: number;
  headers: Record<string, string | string[] | undefined>;
}

/** Bytes kept for a reader that is slower than its host; beyond, the connection waits. */
const MOST_HELD = 64 * 1024;

/**
 * One request and its answer: undici's handler on one side, a reader on the other. undici's own `request` gives a
 * Readable, whose states, events and iterator cost more than all else of a small answer.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #head = Promise.withResolvers<Head>();
  #controller: Dispatcher.DispatchController | undefined;
  #state: 'under-way' | 'ended' | 'failed' = 'under-way';
  #error: unknown;
  #chunks: Buffer[] = [];
  #held = 0;
  #wake: () => void = () => {};

  /** @throws what the transport says, or the reason of `stop` */
  get head(): Promise<Head> {
    return this.#head.promise;
  }

  /** Whether the next bytes, or the end, are still to come. */
  get isDry(): boolean {
    return this.#chunks.length === 0 && this.#state === 'under-way';
  }

  /** Resolves when it is dry no more. */
  wait(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** The next bytes, once it is not dry; undefined behind the last. @throws as `head` */
  take(): Buffer | undefined {
    if (this.#state === 'failed') throw this.#error;
    const chunk = this.#chunks.shift();
    if (chunk === undefined) return undefined;
    this.#held -= chunk.length;
    if (this.#controller?.paused && this.#held < MOST_HELD) this.#controller.resume();
    return chunk;
  }

  /** Ends it: whoever waits or reads gets the reason. The connection is closed unless all of the answer is here. */
  stop(reason: unknown): void {
    if (this.#state === 'failed') return;
    this.#fail(reason);
    this.#controller?.abort(reason as Error);
  }

  /** Nobody wants the rest. */
  leave(): void {
    if (this.#state === 'under-way') this.stop(new Error('nobody reads the rest'));
  }

  #fail(error: unknown): void {
    this.#state = 'failed';
    this.#error = error;
    this.#chunks = [];
    this.#head.reject(error);
    this.#wake();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // It was stopped while it waited for a connection.
    if (this.#state === 'failed') controller.abort(this.#error as Error);
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: Head['headers']): void {
    if (status >= 200) this.#head.resolve({ status, headers });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#state === 'failed') return;
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#held >= MOST_HELD) controller.pause();
    this.#wake();
  }

  onResponseEnd(): void {
    if (this.#state === 'under-way') this.#state = 'ended';
    this.#wake();
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.#state === 'under-way') this.#fail(error);
  }
}
