/**
 * Gathers single questions of many workers into one: all that are asked
 * within `waitMs`, or before `ask` can be called, go together, at most `max`
 * at once.
 */
export class Batcher<K, V> {
  readonly #ask: (keys: K[]) => Promise<Map<K, V>>;
  readonly #max: number;
  readonly #waitMs: number;
  #waiting: { key: K; resolve(value: V | undefined): void; reject(error: unknown): void }[] = [];
  #asking = false;

  constructor(ask: (keys: K[]) => Promise<Map<K, V>>, max: number, waitMs = 0) {
    this.#ask = ask;
    this.#max = max;
    this.#waitMs = waitMs;
  }

  /** @throws what `ask` throws, to everyone who was part of the question */
  get(key: K): Promise<V | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, resolve, reject });
      if (this.#asking) return;
      this.#asking = true;
      this.#gather();
    });
  }

  #gather(): void {
    if (this.#waitMs === 0) setImmediate(() => void this.#run());
    else setTimeout(() => void this.#run(), this.#waitMs);
  }

  async #run(): Promise<void> {
    const batch = this.#waiting.splice(0, this.#max);
    try {
      const answers = await this.#ask([...new Set(batch.map(({ key }) => key))]);
      for (const { key, resolve } of batch) resolve(answers.get(key));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.#asking = this.#waiting.length > 0;
    if (this.#asking) this.#gather();
  }
}
