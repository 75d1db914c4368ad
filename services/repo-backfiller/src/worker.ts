import type { RepoJob } from '@headwater/events';
import { IdentityError } from '@headwater/identity';
import { backoff, type Logger, seam, sleep, TransientError } from '@headwater/ops';
import type { Delivered, Verdict } from '@headwater/streams';
import { type FetchContext, fetchRepo } from './fetch-repo.ts';
import { type Outcome, reasonOf } from './outcome.ts';

/** A failed try at a repo; `reason` is what the dead letter says. */
export class RepoFetchError extends Error {
  override name = 'RepoFetchError';
  reason: string;
  did: string;
  constructor(did: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.reason = reasonOf(cause);
    this.did = did;
  }
}

export interface WorkerOptions {
  context: FetchContext;
  log: Logger;
  maxAttempts: number;
  retryMs: { base: number; max: number };
  /** How long an entry is put off when the PLC directory gives no answers. */
  directoryLaterMs: number;
  /** Aborted when no fetch is to be begun any more. */
  stopping: AbortSignal;
}

/** How long an entry of a repo that is being fetched already is put off. */
const SAME_REPO_MS = 5_000;
/** Without the directory entries are put off slowly, so that most of the stream stays where it is. */
const DIRECTORY_HOLD_MS = 1_000;

/** Takes entries of `repo_backfill` and says what becomes of each. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #underWay = new Set<string>();

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /**
   * One entry, as consume's `write`.
   *
   * @throws TransientError when PostgreSQL or Redis is at fault; AbortError when the service stops
   */
  async take(entry: Delivered<RepoJob>, signal: AbortSignal): Promise<Verdict<RepoJob>[]> {
    const { did, look } = entry.item;
    // Before it is put off for whatever reason: that it is listed is true already.
    if (look !== undefined) await this.#options.context.store.listed(did, look);
    if (this.#underWay.has(did)) {
      return [{ entry, outcome: 'later', reason: 'same-repo', afterMs: SAME_REPO_MS }];
    }
    this.#underWay.add(did);
    seam('backfiller:job-taken');
    try {
      return this.#verdict(entry, await this.#look(entry, signal));
    } catch (error) {
      return await this.#failed(entry, error, signal);
    } finally {
      this.#underWay.delete(did);
    }
  }

  async #look(entry: Delivered<RepoJob>, signal: AbortSignal): Promise<Outcome> {
    const { context, stopping } = this.#options;
    const listedAt = Number.parseInt(entry.id, 10);
    const again = entry.attempts > 0;
    const outcome = await fetchRepo(context, {
      job: entry.item,
      id: entry.id,
      listedAt,
      again,
      signal,
      stopping,
    });
    const name = outcome.end === 'unavailable' ? outcome.reason : outcome.end;
    context.metrics.repos.inc({ outcome: name });
    const { did, reason } = entry.item;
    if (outcome.end !== 'sent')
      this.#options.log.debug({ did, job: entry.id, reason, outcome: name }, 'looked at a repo');
    return outcome;
  }

  #verdict(entry: Delivered<RepoJob>, outcome: Outcome): Verdict<RepoJob>[] {
    switch (outcome.end) {
      case 'sent':
        return [];
      case 'later':
        return [{ entry, outcome: 'later', reason: outcome.reason, afterMs: outcome.afterMs }];
      case 'unavailable':
        return [{ entry, outcome: 'dropped', reason: outcome.reason }];
      default:
        return [{ entry, outcome: 'dropped', reason: outcome.end }];
    }
  }

  async #failed(entry: Delivered<RepoJob>, cause: unknown, signal: AbortSignal): Promise<Verdict<RepoJob>[]> {
    const { context, log, maxAttempts, retryMs, stopping } = this.#options;
    // Not the repo's fault: handed back, or the same again after a pause.
    if (signal.aborted || cause === stopping.reason) throw new DOMException('stopping', 'AbortError');
    if (cause instanceof TransientError) throw cause;
    if (isDirectoryAway(cause)) return await this.#withoutDirectory(entry, cause);
    const { did } = entry.item;
    const error = new RepoFetchError(did, cause);
    const attempts = entry.attempts + 1;
    context.metrics.failures.inc({ reason: error.reason });
    log.info(
      { did, job: entry.id, reason: error.reason, attempts, detail: error.message },
      'a repo could not be fetched',
    );
    if (attempts >= maxAttempts) await context.store.failed(did, error.reason);
    const afterMs = backoff(attempts, { baseMs: retryMs.base, maxMs: retryMs.max });
    return [{ entry, outcome: 'failed', error, afterMs }];
  }

  async #withoutDirectory(entry: Delivered<RepoJob>, error: IdentityError): Promise<Verdict<RepoJob>[]> {
    const { context, log, directoryLaterMs, stopping } = this.#options;
    context.metrics.repos.inc({ outcome: 'later' });
    log.warn({ host: error.host, detail: error.message }, 'the PLC directory gives no answers');
    await sleep(DIRECTORY_HOLD_MS, stopping);
    const afterMs = Math.max(error.retryAfterMs ?? 0, directoryLaterMs * (0.5 + Math.random()));
    return [{ entry, outcome: 'later', reason: 'directory-away', afterMs }];
  }
}

/** The PLC directory, not some did:web host that may never have existed. */
function isDirectoryAway(error: unknown): error is IdentityError {
  return (
    error instanceof IdentityError && error.reason === 'unavailable' && error.subject.startsWith('did:plc:')
  );
}
