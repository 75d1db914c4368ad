/** A host whose cursors come round again: its pages would never end. */
export class LoopingCursorError extends Error {
  override name = 'LoopingCursorError';
  host: string;
  cursor: string;
  constructor(host: string, cursor: string) {
    super(`${host} gave the cursor ${cursor} again`);
    this.host = host;
    this.cursor = cursor;
  }
}

/**
 * Finds a loop of any length in a sequence of cursors by holding one of them
 * (Brent): the held one is replaced after 1, 2, 4, … steps, so within three
 * rounds of a loop the held one is met again.
 */
export class LoopDetector {
  readonly #host: string;
  #held: string | undefined;
  #steps = 0;
  #limit = 1;

  constructor(host: string, start: string | undefined) {
    this.#host = host;
    this.#held = start;
  }

  /** @throws LoopingCursorError */
  next(cursor: string): void {
    if (cursor === this.#held) throw new LoopingCursorError(this.#host, cursor);
    if (++this.#steps < this.#limit) return;
    this.#held = cursor;
    this.#steps = 0;
    this.#limit *= 2;
  }
}
