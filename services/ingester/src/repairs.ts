import { encodeRepoJob, type RepoJob } from '@headwater/events';
import type { Logger } from '@headwater/ops';
import { keysOf, Producer, type Redis } from '@headwater/streams';
import type { IngesterMetrics } from './metrics.ts';

/** First and longest pause between two looks at one repo that this process asks for. */
const firstMs = 2_000;
const longestMs = 30 * 60_000;
const remembered = 20_000;
const lookMs = 500;

interface Asked {
  at: number;
  pauseMs: number;
  /** What has come since. */
  again: RepoJob | undefined;
}

/**
 * The way back: repos that are out of step, to the front of the backfiller's
 * queue. A stream of bad commits is not a stream of fetches: a repo is asked
 * for at once, then at pauses that double as long as it goes on; what comes
 * within a pause is one question at its end. (The durable memory of what is
 * missing is the chain in PostgreSQL: a repo whose last question is lost in a
 * crash is found by it.)
 */
export class Repairs implements Disposable {
  readonly #producer: Producer;
  readonly #metrics: IngesterMetrics;
  readonly #log: Logger;
  readonly #asked = new Map<string, Asked>();
  /** Repos with something to ask at the end of their pause. */
  readonly #later = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  readonly #stop = new AbortController();

  constructor(redis: Redis, highWaterMark: number, metrics: IngesterMetrics, log: Logger) {
    this.#log = log;
    this.#producer = new Producer(redis, keysOf(redis, 'repo_backfill').urgent, { highWaterMark });
    this.#metrics = metrics;
    this.#timer = setInterval(() => this.#askAgain(), lookMs).unref();
  }

  /** Returns when the jobs are durable: to be awaited before the cursor moves past their cause. */
  async send(jobs: readonly RepoJob[], signal: AbortSignal): Promise<void> {
    const due = new Map<string, RepoJob>();
    for (const job of jobs) if (due.has(job.did) || this.#isDue(job)) due.set(job.did, job);
    await this.#send([...due.values()], signal);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#stop.abort();
  }

  async #send(jobs: readonly RepoJob[], signal: AbortSignal): Promise<void> {
    if (jobs.length === 0) return;
    const ids = await this.#producer.append(jobs.map(encodeRepoJob), { signal });
    jobs.forEach(({ did, reason }, i) => {
      this.#metrics.repair(reason ?? 'list');
      this.#log.debug({ did, job: ids[i], reason }, 'a repo out of step is to be fetched again');
    });
  }

  #isDue(job: RepoJob): boolean {
    const { did } = job;
    const asked = this.#asked.get(did);
    const now = Date.now();
    if (asked && now - asked.at < asked.pauseMs) {
      asked.again = job;
      this.#later.add(did);
      return false;
    }
    const isCalm = !asked || now - asked.at > 2 * asked.pauseMs + longestMs / 10;
    const pauseMs = isCalm ? firstMs : Math.min(asked.pauseMs * 2, longestMs);
    this.#asked.delete(did);
    this.#asked.set(did, { at: now, pauseMs, again: undefined });
    this.#trim();
    return true;
  }

  #trim(): void {
    if (this.#asked.size <= remembered) return;
    const [oldest] = this.#asked.keys();
    this.#asked.delete(oldest!);
    this.#later.delete(oldest!);
  }

  #askAgain(): void {
    const due = [...this.#later].flatMap((did) => {
      const { again, at, pauseMs } = this.#asked.get(did)!;
      if (!again || Date.now() - at < pauseMs) return [];
      this.#later.delete(did);
      return this.#isDue(again) ? [again] : [];
    });
    // Redis is waited for; what fails is found by the chain.
    this.#send(due, this.#stop.signal).catch(() => {});
  }
}
