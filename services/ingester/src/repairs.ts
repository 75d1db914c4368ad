import { encodeRepoJob, type RepoJob } from '@headwater/events';
import { keysOf, Producer, type Redis } from '@headwater/streams';
import type { IngesterMetrics } from './metrics.ts';

/**
 * A repo whose commits can't be believed is sent at most this often by one
 * process: a stream of bad commits is not a stream of fetches. A repo that
 * states its rev (`#sync`) is sent always; the backfiller skips what it has.
 */
const everyMs = 2000;
const remembered = 10_000;

/** The way back: repos that are out of step, to the front of the backfiller's queue. */
export class Repairs {
  readonly #producer: Producer;
  readonly #metrics: IngesterMetrics;
  readonly #sent = new Map<string, number>();

  constructor(redis: Redis, highWaterMark: number, metrics: IngesterMetrics) {
    this.#producer = new Producer(redis, keysOf(redis, 'repo_backfill').urgent, { highWaterMark });
    this.#metrics = metrics;
  }

  /** Returns when the jobs are durable: to be awaited before the cursor moves past their cause. */
  async send(jobs: readonly RepoJob[], signal: AbortSignal): Promise<void> {
    const due = new Map(
      jobs.filter((job) => job.rev !== '' || this.#isDue(job.did)).map((job) => [job.did, job]),
    );
    if (due.size === 0) return;
    await this.#producer.append([...due.values()].map(encodeRepoJob), { signal });
    for (const { did, reason } of due.values()) {
      this.#sent.delete(did);
      this.#sent.set(did, Date.now());
      this.#metrics.repair(reason ?? 'list');
    }
    for (const did of this.#sent.keys()) {
      if (this.#sent.size <= remembered) break;
      this.#sent.delete(did);
    }
  }

  #isDue(did: string): boolean {
    return Date.now() - (this.#sent.get(did) ?? 0) > everyMs;
  }
}
