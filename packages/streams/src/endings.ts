import { randomUUID } from 'node:crypto';
import { Batcher, backoff, seam, sleep } from '@headwater/ops';
import { abortable, isPassing } from './errors.ts';
import type { Hand, Held } from './hand.ts';
import { keysOf } from './keys.ts';
import type { Settings } from './options.ts';
import { ackScript, beginScript, buryScript, failScript, parkScript } from './scripts/endings.ts';

/** Entries that are done with, and for which reason they were dropped, if so. */
interface Ended<T> {
  entries: readonly Held<T>[];
  dropped: string | undefined;
}

/** Ids that one script call takes: Lua unpacks no more than some thousands. */
const chunk = 1000;

/**
 * What Redis is told of entries, each a single step there. A Redis that is
 * away or full is waited for until the time to drain is over; entries that it
 * has not heard of by then stay pending, so that they come again.
 */
export class Endings<T> {
  readonly #settings: Settings<T>;
  readonly #hand: Hand<T>;
  readonly #hard: AbortSignal;
  readonly #ended = new Map<string, Batcher<Ended<T>, never>>();

  constructor(settings: Settings<T>, hand: Hand<T>, hard: AbortSignal) {
    this.#settings = settings;
    this.#hand = hand;
    this.#hard = hard;
  }

  /** Acknowledges and deletes entries that are written, or dropped for a reason. */
  async done(entries: readonly Held<T>[], dropped?: string): Promise<void> {
    for (const [stream, some] of Map.groupBy(entries, (entry) => entry.stream)) {
      await this.#endedOf(stream).get({ entries: some, dropped });
    }
  }

  /** What ends at about the same time is acknowledged together. */
  #endedOf(stream: string): Batcher<Ended<T>, never> {
    let batcher = this.#ended.get(stream);
    if (!batcher) {
      batcher = new Batcher((all) => this.#acknowledge(stream, all), chunk);
      this.#ended.set(stream, batcher);
    }
    return batcher;
  }

  async #acknowledge(stream: string, all: readonly Ended<T>[]) {
    const { redis, group, metrics } = this.#settings;
    const { attempts } = keysOf(redis, stream);
    const single = all.flatMap(({ entries, dropped }) => entries.map((entry) => ({ entry, dropped })));
    for (let at = 0; at < single.length; at += chunk) {
      const part = single.slice(at, at + chunk);
      const args = [group, ...part.map(({ entry }) => entry.id)];
      seam('streams:before-acknowledge');
      const acked = await this.#insist(() => ackScript.run(redis, [stream, attempts], args));
      if (acked === undefined) break;
      seam('streams:acknowledged');
      for (const [why, some] of Map.groupBy(part, ({ dropped }) => dropped)) {
        metrics.ended(stream, why === undefined ? 'written' : 'dropped', why ?? '', some.length);
      }
      for (const { entry } of part) this.#hand.remove(entry);
    }
    return new Map<Ended<T>, never>();
  }

  /** Counts a failed try. @returns false when it could not be counted, or the entry has ended elsewhere */
  async failed(entry: Held<T>): Promise<boolean> {
    const { redis, group } = this.#settings;
    // So that a try is counted once also when the command is sent twice.
    const args = [group, entry.id, Date.now(), randomUUID()];
    const counted = await this.#insist(() => failScript.run(redis, this.#keys(entry), args));
    if (counted === null) this.#lose(entry);
    if (!Array.isArray(counted)) return false;
    seam('streams:try-counted');
    [entry.attempts, entry.first] = counted as [number, number];
    this.#settings.metrics.failed(entry.stream);
    return true;
  }

  /** Counts that a suspect's write begins, until `survived`. @returns how often it has begun, if it is to be written */
  async begun(entry: Held<T>): Promise<number | undefined> {
    const { redis, group } = this.#settings;
    const count = await this.#insist(() => beginScript.run(redis, this.#keys(entry), [group, entry.id, 1]));
    if (count === null) this.#lose(entry);
    return typeof count === 'number' ? count : undefined;
  }

  /** The suspect's write has ended, well or not, and its process lives. */
  async survived(entry: Held<T>): Promise<void> {
    const { redis, group } = this.#settings;
    await this.#insist(() => beginScript.run(redis, this.#keys(entry), [group, entry.id, 0]));
  }

  /** Moves an entry to the dead letters. */
  async bury(entry: Held<T>, reason: string, error?: unknown): Promise<void> {
    const { redis, group, log, metrics, onDead } = this.#settings;
    const keys = [...this.#keys(entry), keysOf(redis, entry.stream).dead];
    const args = [group, entry.id, ...Object.entries(this.#marks(entry, reason, error)).flat()];
    const letter = await this.#insist(() => buryScript.run(redis, keys, args));
    if (letter === undefined) return;
    seam('streams:buried');
    if (letter === null) return this.#lose(entry);
    this.#hand.remove(entry);
    const { stream, id, attempts } = entry;
    metrics.ended(stream, 'dead', reason, 1);
    log.error({ stream, id, err: error, reason, attempts, letter }, 'an entry went to the dead letters');
    onDead?.({ stream, id, reason, error, attempts });
  }

  /** Takes an entry out of the stream for a while. */
  async park(entry: Held<T>, reason: string, afterMs: number): Promise<void> {
    const { redis, group, metrics } = this.#settings;
    const keys = [...this.#keys(entry), keysOf(redis, entry.stream).later];
    const args = [group, entry.id, Date.now() + Math.max(0, Math.round(afterMs)), reason];
    const parked = await this.#insist(() => parkScript.run(redis, keys, args));
    if (parked === undefined) return;
    seam('streams:parked');
    if (parked === 0) return this.#lose(entry);
    this.#hand.remove(entry);
    metrics.ended(entry.stream, 'later', reason, 1);
  }

  /** Another consumer has taken the entry over and ended it. */
  #lose(entry: Held<T>): void {
    if (this.#hand.remove(entry)) this.#settings.metrics.ended(entry.stream, 'lost', 'ended-elsewhere', 1);
  }

  #keys(entry: Held<T>): string[] {
    return [entry.stream, keysOf(this.#settings.redis, entry.stream).attempts];
  }

  /** What a letter carries behind the entry's own fields; `dead.ts` reads it by this order. */
  #marks(entry: Held<T>, reason: string, error: unknown): Record<string, string | number> {
    const now = Date.now();
    return {
      reason,
      error: errorText(error),
      attempts: entry.attempts,
      first: new Date(entry.first ?? now).toISOString(),
      last: new Date(now).toISOString(),
      source: entry.stream,
      source_id: entry.id,
      group: this.#settings.group,
    };
  }

  /** Repeats a command until Redis takes it; undefined when the time to drain is over first. */
  async #insist<R>(command: () => Promise<R>): Promise<R | undefined> {
    for (let failures = 1; !this.#hard.aborted; failures++) {
      try {
        return await abortable(command(), this.#hard);
      } catch (err) {
        if (this.#hard.aborted) break;
        const level = isPassing(err) ? 'warn' : 'error';
        this.#settings.log[level]({ err, failures }, 'Redis refused to end entries; trying again');
        await sleep(backoff(failures, { baseMs: 50, maxMs: 5000 }), this.#hard);
      }
    }
    return undefined;
  }
}

function errorText(error: unknown): string {
  if (error === undefined) return '';
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, 2000);
}
