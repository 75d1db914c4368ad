import { backoff, sleep, TransientError } from '@headwater/ops';
import type { Endings } from './endings.ts';
import type { Held } from './hand.ts';
import type { Settings, Verdict } from './options.ts';

type Answer<T> = { verdicts: readonly Verdict<T>[] } | { error: unknown };

/**
 * Writes batches and decides how their entries end.
 *
 *   queued ─► writing ─┬─ written, dropped ─► acknowledged and deleted
 *                ▲     ├─ later ────────────► parked in Redis
 *                │     ├─ transient ─► pause ─► writing (the same batch)
 *                │     ├─ failed, several ──► halved ─► writing (each half)
 *                └─────┴─ failed, alone ─► counted ─► pause ─► queued
 *                                              └─ last try ─► dead letter
 */
export class Settler<T> {
  readonly #settings: Settings<T>;
  readonly #endings: Endings<T>;
  readonly #requeue: (entry: Held<T>) => void;
  /** Aborted: no further batch is begun. */
  readonly #soft: AbortSignal;
  /** Aborted: the running ones are given up. */
  readonly #hard: AbortSignal;
  readonly #pauses = new Set<NodeJS.Timeout>();
  #suspects: Promise<unknown> = Promise.resolve();

  constructor(
    settings: Settings<T>,
    endings: Endings<T>,
    requeue: (entry: Held<T>) => void,
    hard: AbortSignal,
  ) {
    this.#settings = settings;
    this.#endings = endings;
    this.#requeue = requeue;
    this.#soft = settings.signal;
    this.#hard = hard;
    this.#soft.addEventListener('abort', () => this.#stopPauses(), { once: true });
  }

  #stopPauses(): void {
    for (const timer of this.#pauses) clearTimeout(timer);
  }

  /** Writes the batch and ends what can be ended. Never rejects. */
  async settle(batch: readonly Held<T>[]): Promise<void> {
    const [first] = batch;
    if (batch.length > 1 || !first!.suspect) return await this.#settle(batch);
    // One at a time: if the process dies, it is known of which.
    const turn = this.#suspects.then(() => this.#settleSuspect(first!));
    this.#suspects = turn;
    await turn;
  }

  async #settleSuspect(entry: Held<T>): Promise<void> {
    if (this.#soft.aborted) return;
    const begun = await this.#endings.begun(entry);
    if (begun === undefined) return;
    if (begun > this.#settings.maxAttempts) {
      return await this.#endings.bury(entry, 'deadly', new Error(`processes died of it ${begun - 1} times`));
    }
    await this.#settle([entry]);
    await this.#endings.survived(entry);
  }

  async #settle(batch: readonly Held<T>[]): Promise<void> {
    for (let failures = 1; ; failures++) {
      const answer = await this.#write(batch);
      if ('verdicts' in answer) return await this.#conclude(batch, answer.verdicts);
      const err = answer.error;
      if (this.#isStopped(err)) return;
      if (!isTransient(err)) return await this.#split(batch, err);
      const { base, max } = this.#settings.retryMs;
      const pauseMs = Math.max(err.retryAfterMs ?? 0, backoff(failures, { baseMs: base / 4, maxMs: max }));
      this.#settings.log.warn({ ...about(batch), err, failures, pauseMs }, 'a write is tried again');
      await sleep(pauseMs, this.#soft);
      if (this.#soft.aborted) return;
    }
  }

  async #write(batch: readonly Held<T>[]): Promise<Answer<T>> {
    const { write, metrics } = this.#settings;
    const started = performance.now();
    const report = (outcome: 'ok' | 'transient' | 'failed') =>
      metrics.wrote(batch[0]!.stream, outcome, batch.length, (performance.now() - started) / 1000);
    try {
      const verdicts = (await write(batch, this.#hard)) ?? [];
      checkVerdicts(batch, verdicts);
      report('ok');
      return { verdicts };
    } catch (error) {
      report(isTransient(error) ? 'transient' : 'failed');
      return { error };
    }
  }

  /** Interrupted by the shutdown: not the entries' fault, they are handed back. */
  #isStopped(error: unknown): boolean {
    const interrupted = this.#soft.aborted && error instanceof Error && error.name === 'AbortError';
    return this.#hard.aborted || interrupted;
  }

  async #split(batch: readonly Held<T>[], err: unknown): Promise<void> {
    if (batch.length === 1) return await this.#failed(batch[0]!, err);
    this.#settings.log.warn({ ...about(batch), err }, 'a batch failed and is halved');
    const middle = Math.ceil(batch.length / 2);
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      if (this.#soft.aborted) return;
      await this.#settle(half);
    }
  }

  async #conclude(batch: readonly Held<T>[], verdicts: readonly Verdict<T>[]): Promise<void> {
    const except = new Map<unknown, Verdict<T>>(verdicts.map((verdict) => [verdict.entry, verdict]));
    const written = batch.filter((entry) => !except.has(entry));
    const dropped = Map.groupBy(
      verdicts.filter((verdict) => verdict.outcome === 'dropped'),
      (verdict) => verdict.reason,
    );
    await Promise.all([
      this.#endings.done(written),
      ...[...dropped].map(([reason, some]) =>
        this.#endings.done(
          some.map(({ entry }) => entry as Held<T>),
          reason,
        ),
      ),
      ...[...except.values()].map((verdict) => this.#except(verdict.entry as Held<T>, verdict)),
    ]);
  }

  async #except(entry: Held<T>, verdict: Verdict<T>): Promise<void> {
    switch (verdict.outcome) {
      case 'later':
        return await this.#endings.park(entry, verdict.reason, verdict.afterMs);
      case 'failed':
        return await this.#failed(entry, verdict.error, verdict.afterMs);
      case 'dead':
        return await this.#endings.bury(entry, verdict.reason, verdict.error);
      case 'dropped':
        return;
    }
  }

  /** Counts a failed try of one entry; it is tried again after a pause or goes to the dead letters. */
  async #failed(entry: Held<T>, err: unknown, afterMs?: number): Promise<void> {
    const { maxAttempts, retryMs, parkAboveMs, log } = this.#settings;
    if (!(await this.#endings.failed(entry))) return;
    const { stream, id, attempts } = entry;
    if (attempts >= maxAttempts) return await this.#endings.bury(entry, reasonOf(err, 'failed'), err);
    const pauseMs = afterMs ?? backoff(attempts, { baseMs: retryMs.base, maxMs: retryMs.max });
    log.warn({ stream, id, err, attempts, pauseMs }, 'an entry failed');
    if (pauseMs > parkAboveMs) return await this.#endings.park(entry, 'retry', pauseMs);
    entry.alone = true;
    entry.writing = false;
    if (this.#soft.aborted) return;
    const timer = setTimeout(() => {
      this.#pauses.delete(timer);
      this.#requeue(entry);
    }, pauseMs);
    this.#pauses.add(timer);
  }
}

/** A verdict on an entry that is not in the batch must not let one that is pass as written. */
function checkVerdicts<T>(batch: readonly Held<T>[], verdicts: readonly Verdict<T>[]): void {
  if (verdicts.length === 0) return;
  const known = new Set<unknown>(batch);
  for (const { entry } of verdicts) {
    if (!known.delete(entry))
      throw new TypeError(`write judged ${entry?.id} twice, or it is not in the batch`);
  }
}

function isTransient(error: unknown): error is Error & { retryAfterMs?: number } {
  return error instanceof TransientError || (error instanceof Error && error.name === 'TransientError');
}

/** An error's typed reason, else its name. */
export function reasonOf(error: unknown, fallback: string): string {
  if (!(error instanceof Error)) return fallback;
  const { reason } = error as { reason?: unknown };
  return typeof reason === 'string' && reason !== '' ? reason : error.name;
}

function about(batch: readonly Held<unknown>[]): object {
  const first = batch[0]!;
  return { stream: first.stream, id: first.id, entries: batch.length };
}
