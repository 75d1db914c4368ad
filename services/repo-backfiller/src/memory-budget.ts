/** The least that a CAR gets before it goes to a file: most repos of the network fit. */
const LEAST = 256 * 1024;

/**
 * Bytes of memory for the CARs that are under way, across all workers. Each
 * takes its share for as long as it needs; when the rest is small the shares
 * are small, and CARs go to files sooner. Nobody waits.
 */
export class MemoryBudget {
  #free: number;
  readonly #most: number;

  /** @param total bytes for all; @param most bytes for one */
  constructor(total: number, most: number) {
    this.#free = total;
    this.#most = most;
  }

  /** A share: up to how many bytes a CAR may be kept in memory. Give it back by disposing of it. */
  take(): Disposable & { bytes: number } {
    const bytes = Math.min(this.#most, Math.max(LEAST, Math.floor(this.#free / 2)));
    this.#free -= bytes;
    let given = false;
    return {
      bytes,
      [Symbol.dispose]: () => {
        if (!given) this.#free += bytes;
        given = true;
      },
    };
  }
}
