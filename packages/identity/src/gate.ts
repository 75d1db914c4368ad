import { sleep } from '@headwater/ops';

/** Lets `max` tasks run at once, and none before a pause that the other side asked for is over. */
export class Gate {
  readonly #max: number;
  #running = 0;
  readonly #waiting: (() => void)[] = [];
  #pausedUntil = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Holds back every task that has not begun for `ms` from now. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + ms);
  }

  /** How long the present pause still lasts, in ms. */
  get pausedMs(): number {
    return Math.max(0, this.#pausedUntil - Date.now());
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#max) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      while (this.pausedMs > 0) await sleep(this.pausedMs);
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }
}
