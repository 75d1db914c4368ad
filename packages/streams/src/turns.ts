import type { AppendOptions } from './producer.ts';
import type { NewFields } from './types.ts';

/** Bytes that are sent together, where one append has not more by itself. */
const MOST_BYTES = 512 * 1024;

interface Append {
  entries: readonly NewFields[];
  options: AppendOptions;
  bytes: number;
  resolve(ids: string[]): void;
  reject(error: unknown): void;
}

/**
 * Appends one after the other, as they were handed in. Those that carry nothing but entries, and that are handed in at
 * once or while another is on its way, are written together: a step in Redis costs as much as its entries.
 */
export class Turns {
  readonly #write: (entries: readonly NewFields[], options: AppendOptions) => Promise<string[]>;
  #waiting: Append[] = [];
  #isRunning = false;

  /** @param write gives the ids of the entries, in order */
  constructor(write: (entries: readonly NewFields[], options: AppendOptions) => Promise<string[]>) {
    this.#write = write;
  }

  append(entries: readonly NewFields[], options: AppendOptions): Promise<string[]> {
    const turn = new Promise<string[]>((resolve, reject) => {
      this.#waiting.push({ entries, options, bytes: bytesOf(entries), resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      // Behind all that goes on without waiting for anything: whose fetches have begun together append together.
      process.nextTick(() => void this.#run());
    });
    // One that its caller looks at later, or no more, is not an error that nobody caught.
    turn.catch(() => {});
    return turn;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const together = this.#waiting.splice(0, this.#count());
      const { options } = together[0]!;
      try {
        const ids = await this.#write(
          together.flatMap(({ entries }) => entries),
          options,
        );
        let at = 0;
        for (const { entries, resolve } of together) {
          resolve(ids.slice(at, at + entries.length));
          at += entries.length;
        }
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
    this.#isRunning = false;
  }

  /** How many of those that wait go together. */
  #count(): number {
    const [first] = this.#waiting;
    let bytes = first!.bytes;
    let count = 1;
    for (; count < this.#waiting.length; count++) {
      const next = this.#waiting[count]!;
      bytes += next.bytes;
      if (bytes > MOST_BYTES || !isAlike(first!.options, next.options)) break;
    }
    return count;
  }
}

/** Whether two appends are entries alone, of the same life of the stream, and end with the same signal. */
function isAlike(a: AppendOptions, b: AppendOptions): boolean {
  const isPlain = [a, b].every(({ guard, cursor, extra }) => !guard && !cursor && !extra);
  return isPlain && a.generation === b.generation && a.signal === b.signal;
}

function bytesOf(entries: readonly NewFields[]): number {
  let bytes = 0;
  for (const entry of entries) for (const name in entry) bytes += entry[name]!.length;
  return bytes;
}
