/**
 * Gathers single questions of many workers into one: all that are asked
 * before `ask` can be called go together, at most `max` at once.
 */
export class Batcher<K, V> {
  readonly #ask: (keys: K[]) => Promise<Map<K, V>>;
  readonly #max: number;
  #waiting: { key: K; resolve(value: V | undefined): void; reject(error: unknown): void }[] = [];
  #asking = false;

  constructor(ask: (keys: K[]) => Promise<Map<K, V>>, max: number) {
    this.#ask = ask;
    this.#max = max;
  }

  /** @throws what `ask` throws, to everyone who was part of the question */
  get(key: K): Promise<V | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, resolve, reject });
      if (this.#asking) return;
      this.#asking = true;
      setImmediate(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#max);
      try {
        const answers = await this.#ask([...new Set(batch.map(({ key }) => key))]);
        for (const { key, resolve } of batch) resolve(answers.get(key));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#asking = false;
  }
}
