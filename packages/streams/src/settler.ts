import { backoff, sleep } from '@headwater/ops';
import { abortable, isPassing } from './errors.ts';
import type { Hand, Held } from './hand.ts';
import { keysOf } from './keys.ts';
import { ackScript, buryScript, failScript, parkScript } from './lua.ts';
import type { Ending } from './metrics.ts';
import type { Settings, Verdict } from './options.ts';

/** Ids that one script call takes: Lua unpacks no more than some thousands. */
const chunk = 1000;

/**
 * Writes batches and ends their entries.
 *
 *   queued ─► writing ─┬─ written, dropped ─► acknowledged and deleted
 *                ▲     ├─ later ────────────► parked in Redis
 *                │     ├─ transient ─► pause ─► writing (the same batch)
 *                │     ├─ failed, several ──► halved ─► writing (each half)
 *                └─────┴─ failed, alone ─► counted ─► pause ─► writing
 *                                              └─ last try ─► dead letter
 */
export class Settler<T> {
  readonly #settings: Settings<T>;
  readonly #hand: Hand<T>;
  readonly #requeue: (entry: Held<T>) => void;
  /** Aborts when no more batch is to be begun, and when the running ones are to end. */
  readonly #soft: AbortSignal;
  readonly #hard: AbortSignal;

  constructor(
    settings: Settings<T>,
    hand: Hand<T>,
    requeue: (entry: Held<T>) => void,
    soft: AbortSignal,
    hard: AbortSignal,
  ) {
    this.#settings = settings;
    this.#hand = hand;
    this.#requeue = requeue;
    this.#soft = soft;
    this.#hard = hard;
  }

  /** Writes the batch and ends what can be ended. Never rejects. */
  async settle(batch: Held<T>[]): Promise<void> {
    for (let failures = 1; ; failures++) {
      const answer = await this.#write(batch);
      if ('verdicts' in answer) return await this.#conclude(batch, answer.verdicts);
      const { error } = answer;
      if (this.#isStopped(error)) return;
      if (!isTransient(error)) return await this.#split(batch, error);
      const { base, max } = this.#settings.retryMs;
      const pauseMs = Math.max(error.retryAfterMs ?? 0, backoff(failures, { baseMs: base / 4, maxMs: max }));
      this.#settings.log.warn({ ...about(batch), error, failures, pauseMs }, 'a write is tried again');
      await sleep(pauseMs, this.#soft);
      if (this.#soft.aborted) return;
    }
  }

  async #write(batch: Held<T>[]): Promise<{ verdicts: readonly Verdict<T>[] } | { error: unknown }> {
    const { write, metrics } = this.#settings;
    const started = performance.now();
    const report = (outcome: 'ok' | 'transient' | 'failed') =>
      metrics.wrote(batch[0]!.stream, outcome, batch.length, (performance.now() - started) / 1000);
    try {
      const verdicts = (await write(batch, this.#hard)) ?? [];
      report('ok');
      return { verdicts };
    } catch (error) {
      report(isTransient(error) ? 'transient' : 'failed');
      return { error };
    }
  }

  /** Interrupted by the shutdown: not the entries' fault, they are handed back. */
  #isStopped(error: unknown): boolean {
    return (
      this.#hard.aborted || (this.#soft.aborted && error instanceof Error && error.name === 'AbortError')
    );
  }

  async #split(batch: Held<T>[], error: unknown): Promise<void> {
    if (batch.length === 1) return await this.#failed(batch[0]!, error);
    this.#settings.log.warn({ ...about(batch), error }, 'a batch failed and is halved');
    const middle = Math.ceil(batch.length / 2);
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      if (this.#soft.aborted) return;
      await this.settle(half);
    }
  }

  async #conclude(batch: Held<T>[], verdicts: readonly Verdict<T>[]): Promise<void> {
    const rest = new Set<unknown>(batch);
    const dropped: Held<T>[] = [];
    const work: Promise<void>[] = [];
    for (const verdict of verdicts) {
      if (!rest.delete(verdict.entry)) continue;
      const entry = verdict.entry as Held<T>;
      if (verdict.outcome === 'dropped') {
        this.#settings.metrics.ended(entry.stream, 'dropped', verdict.reason, 1);
        dropped.push(entry);
      } else work.push(this.#except(entry, verdict));
    }
    const written = batch.filter((entry) => rest.has(entry));
    await Promise.all([...work, this.#acknowledge(written, 'written'), this.#acknowledge(dropped)]);
  }

  #except(entry: Held<T>, verdict: Verdict<T>): Promise<void> {
    switch (verdict.outcome) {
      case 'later':
        return this.#park(entry, verdict.reason, verdict.afterMs);
      case 'failed':
        return this.#failed(entry, verdict.error, verdict.afterMs);
      case 'dead':
        return this.bury(entry, verdict.reason, verdict.error);
      default:
        return Promise.resolve();
    }
  }

  async #acknowledge(entries: Held<T>[], ending?: Ending): Promise<void> {
    for (const [stream, group] of Map.groupBy(entries, (entry) => entry.stream)) {
      const { attempts } = keysOf(this.#settings.redis, stream);
      for (let at = 0; at < group.length; at += chunk) {
        const part = group.slice(at, at + chunk);
        const tried = part.filter((entry) => entry.attempts > 0).map((entry) => entry.id);
        const fresh = part.filter((entry) => entry.attempts === 0).map((entry) => entry.id);
        const args = [this.#settings.group, tried.length, ...tried, ...fresh];
        const done = await this.#insist(() => ackScript.run(this.#settings.redis, [stream, attempts], args));
        if (done === undefined) return;
        if (ending) this.#settings.metrics.ended(stream, ending, '', part.length);
        for (const entry of part) this.#hand.remove(entry);
      }
    }
  }

  /** Counts a failed try of one entry; it is tried again after a pause or goes to the dead letters. */
  async #failed(entry: Held<T>, error: unknown, afterMs?: number): Promise<void> {
    const { redis, group, maxAttempts, retryMs, log } = this.#settings;
    const { attempts } = keysOf(redis, entry.stream);
    const counted = await this.#insist(() =>
      failScript.run(redis, [attempts], [group, entry.id, Date.now()]),
    );
    if (counted === undefined) return;
    [entry.attempts, entry.first] = counted as [number, number];
    if (entry.attempts >= maxAttempts) return await this.bury(entry, reasonOf(error, 'failed'), error);
    const pauseMs = afterMs ?? backoff(entry.attempts, { baseMs: retryMs.base, maxMs: retryMs.max });
    log.warn({ ...about([entry]), error, attempts: entry.attempts, pauseMs }, 'an entry failed');
    entry.alone = true;
    entry.writing = false;
    const timer = setTimeout(() => this.#requeue(entry), pauseMs);
    this.#soft.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  /** Moves an entry to the dead letters. Never rejects. */
  async bury(entry: Held<T>, reason: string, error?: unknown): Promise<void> {
    const { redis, group, log, metrics, onDead } = this.#settings;
    const { dead, attempts } = keysOf(redis, entry.stream);
    const now = Date.now();
    const marks = {
      reason,
      error: errorText(error),
      attempts: entry.attempts,
      first: new Date(entry.first ?? now).toISOString(),
      last: new Date(now).toISOString(),
      source: entry.stream,
      source_id: entry.id,
      group,
    };
    const args = [group, entry.id, ...Object.entries(marks).flat()];
    const letter = await this.#insist(() => buryScript.run(redis, [entry.stream, attempts, dead], args));
    if (letter === undefined) return;
    this.#hand.remove(entry);
    if (letter === null) return metrics.ended(entry.stream, 'lost', 'ended-elsewhere', 1);
    metrics.ended(entry.stream, 'dead', reason, 1);
    log.error({ ...about([entry]), error, reason, letter }, 'an entry went to the dead letters');
    onDead?.({ stream: entry.stream, id: entry.id, reason, error, attempts: entry.attempts });
  }

  async #park(entry: Held<T>, reason: string, afterMs: number): Promise<void> {
    const { redis, group, metrics } = this.#settings;
    const { attempts, later } = keysOf(redis, entry.stream);
    const args = [group, entry.id, Date.now() + Math.max(0, Math.round(afterMs)), reason];
    const parked = await this.#insist(() => parkScript.run(redis, [entry.stream, attempts, later], args));
    if (parked === undefined) return;
    this.#hand.remove(entry);
    metrics.ended(
      entry.stream,
      parked === 1 ? 'later' : 'lost',
      parked === 1 ? reason : 'ended-elsewhere',
      1,
    );
  }

  /** Repeats a command until Redis takes it; undefined when the time to drain is over first. */
  async #insist<R>(command: () => Promise<R>): Promise<R | undefined> {
    for (let failures = 1; !this.#hard.aborted; failures++) {
      try {
        return await abortable(command(), this.#hard);
      } catch (error) {
        if (this.#hard.aborted) break;
        const level = isPassing(error) ? 'warn' : 'error';
        this.#settings.log[level]({ error, failures }, 'Redis refused to end entries; trying again');
        await sleep(backoff(failures, { baseMs: 50, maxMs: 5000 }), this.#hard);
      }
    }
    return undefined;
  }
}

function isTransient(error: unknown): error is Error & { retryAfterMs?: number } {
  return error instanceof Error && error.name === 'TransientError';
}

/** An error's typed reason, else its name. */
export function reasonOf(error: unknown, fallback: string): string {
  if (!(error instanceof Error)) return fallback;
  const { reason } = error as { reason?: unknown };
  return typeof reason === 'string' && reason !== '' ? reason : error.name;
}

function errorText(error: unknown): string {
  if (error === undefined) return '';
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.slice(0, 2000);
}

function about(batch: Held<unknown>[]): object {
  const first = batch[0]!;
  return { stream: first.stream, id: first.id, entries: batch.length };
}
