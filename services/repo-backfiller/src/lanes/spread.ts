interface HostPace {
  /** When the last deferred entry comes back, in ms. */
  due: number;
  /** What a turn takes of late, in ms. */
  turnMs: number;
}

/** Hosts remembered before those without deferred entries are forgotten. */
const REMEMBERED = 10_000;

/**
 * When the deferred entries of a host come back: one after the other, about
 * as fast as the host gives turns, so that they neither all come at once nor
 * only to be deferred again.
 */
export class Spread {
  readonly #concurrency: number;
  readonly #intervalMs: number;
  readonly #hosts = new Map<string, HostPace>();

  /** @param intervalMs the least time between two turns of a host */
  constructor(concurrency: number, intervalMs: number) {
    this.#concurrency = concurrency;
    this.#intervalMs = intervalMs;
  }

  /** A turn has ended. */
  took(host: string, ms: number): void {
    const pace = this.#pace(host);
    pace.turnMs = pace.turnMs === 0 ? ms : pace.turnMs * 0.8 + ms * 0.2;
  }

  /** The next place behind `waitMs` from now, in ms from now. */
  next(host: string, waitMs: number): number {
    const now = Date.now();
    const pace = this.#pace(host);
    const step = Math.max(this.#intervalMs, pace.turnMs / this.#concurrency);
    pace.due = Math.max(pace.due, now + waitMs) + step;
    return pace.due - now;
  }

  #pace(host: string): HostPace {
    let pace = this.#hosts.get(host);
    if (!pace) {
      pace = { due: 0, turnMs: 0 };
      if (this.#hosts.size >= REMEMBERED) this.#forget();
      this.#hosts.set(host, pace);
    }
    return pace;
  }

  #forget(): void {
    const now = Date.now();
    for (const [host, { due }] of this.#hosts) if (due < now) this.#hosts.delete(host);
    // All have entries waiting: then the oldest, whose entries come back unspread.
    if (this.#hosts.size >= REMEMBERED) this.#hosts.delete(this.#hosts.keys().next().value!);
  }
}
