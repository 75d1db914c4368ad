import { backoff, type Logger, sleep } from '@headwater/ops';
import { type RepoPage, XrpcError } from '@headwater/xrpc';
import { type SkippedRange, skipAhead } from './skip.ts';

/** A host that answers, but not at this cursor, and nothing can be skipped. */
export class EnumerationStuckError extends Error {
  override name = 'EnumerationStuckError';
  range: SkippedRange;
  constructor(range: SkippedRange, cause: XrpcError) {
    super(`the enumeration is stuck at cursor ${range.from ?? '(none)'}`, { cause });
    this.range = range;
  }
}

export interface PageReaderOptions {
  /** One page. @throws XrpcError */
  read: (cursor: string | undefined, limit: number, signal: AbortSignal) => Promise<RepoPage>;
  log: Logger;
  onError: (err: XrpcError) => void;
  /** Whether a host that is down is waited for, however long. */
  isPatient?: boolean;
  maxLimit?: number;
  maxTries?: number;
  /** First and longest pause between tries, in milliseconds. */
  baseMs?: number;
  maxMs?: number;
}

export interface PageRead {
  page: RepoPage;
  /** The cursor that gave the page: the one asked for, or a later one. */
  cursor: string | undefined;
  skipped?: SkippedRange;
}

/** Cursors to probe a host with besides those that it gave: some places of a numbered list. */
const elsewhere = ['1', '1000', '1000000'];

/**
 * Reads pages from a host that may fail on some of them.
 *
 *     full page ──5 failures──► narrower (half, half, … 1) ──5 failures──► skip 1, 3, 7, 15 …
 *         ▲                        │                                          │         │
 *         └──── doubles with ──────┴────────────── a page came ◄──────────────┘         └─► stuck
 *               every page
 *
 * Whether the host or the cursor is at fault decide probes at other cursors.
 * While those fail too the host is down, and nothing is narrowed or skipped. Being told to wait (429, 503 with a time) is no failure.
 */
export class PageReader {
  readonly #options: Required<PageReaderOptions>;
  #limit: number;
  /** The cursor of the page before. */
  #lastGood: string | undefined;

  constructor(options: PageReaderOptions) {
    this.#options = { maxLimit: 1000, maxTries: 5, isPatient: true, baseMs: 1000, maxMs: 60_000, ...options };
    this.#limit = this.#options.maxLimit;
  }

  /**
   * The page after `cursor`, or after the first later one that works.
   *
   * @throws EnumerationStuckError; XrpcError when the host is down and not waited for; the signal's reason
   */
  async next(cursor: string | undefined, signal: AbortSignal): Promise<PageRead> {
    const { maxLimit, maxTries } = this.#options;
    let failures = 0;
    let skip = 0;
    let last: XrpcError | undefined;
    for (;;) {
      const at = skip === 0 ? cursor : skipAhead(cursor, skip);
      if (last && skip > 0 && at === undefined) {
        throw new EnumerationStuckError(rangeOf(cursor, undefined, last), last);
      }
      const answer = await this.#ask(at, this.#limit, signal);
      if (!(answer instanceof XrpcError)) {
        this.#limit = Math.min(maxLimit, this.#limit * 2);
        this.#lastGood = at;
        return { page: answer, cursor: at, ...(last && skip > 0 && { skipped: rangeOf(cursor, at, last) }) };
      }
      if (isUnsupported(answer)) throw new EnumerationStuckError(rangeOf(cursor, undefined, answer), answer);
      last = answer;
      failures++;
      const again = failures < maxTries && (this.#limit === maxLimit || this.#limit === 1);
      if (again) await this.#pause(failures, answer, signal);
      else if (await this.#hostWasDown(cursor, signal)) failures = 0;
      else if (this.#limit > 1) this.#narrow(cursor);
      else skip = skip * 2 + 1;
    }
  }

  #narrow(cursor: string | undefined): void {
    this.#limit = Math.floor(this.#limit / 2);
    this.#options.log.debug({ cursor, limit: this.#limit }, 'narrowing the page');
  }

  /** One request; as often as the host asks us to come back later. */
  async #ask(cursor: string | undefined, limit: number, signal: AbortSignal): Promise<RepoPage | XrpcError> {
    for (let waits = 1; ; waits++) {
      try {
        return await this.#options.read(cursor, limit, signal);
      } catch (err) {
        if (signal.aborted || !(err instanceof XrpcError)) throw err;
        this.#options.onError(err);
        const told = err.kind === 'rate-limited' || (err.status === 503 && err.retryAfterMs !== undefined);
        if (!told) return err;
        await this.#pause(waits, err, signal);
      }
    }
  }

  /** Returns false when another cursor works; waits until the host answers and returns true when none did. @throws XrpcError */
  async #hostWasDown(cursor: string | undefined, signal: AbortSignal): Promise<boolean> {
    const probes = new Set([this.#lastGood, undefined, ...elsewhere]);
    probes.delete(cursor);
    for (let failures = 0; ; ) {
      let answer: RepoPage | XrpcError | undefined;
      for (const probe of probes) {
        answer = await this.#ask(probe, 1, signal);
        // Whatever a host says to a cursor that it does not understand, it is there.
        if (!(answer instanceof XrpcError) || (answer.status ?? 500) < 500) return failures > 0;
      }
      if (!this.#options.isPatient) throw answer;
      await this.#pause(++failures, answer as XrpcError, signal);
    }
  }

  async #pause(attempt: number, err: XrpcError, signal: AbortSignal): Promise<void> {
    const pauseMs = Math.max(err.retryAfterMs ?? 0, backoff(attempt, this.#options));
    this.#options.log.warn({ err, attempt, pauseMs: Math.round(pauseMs) }, 'listing failed; trying again');
    await sleep(pauseMs, signal);
    signal.throwIfAborted();
  }
}

/** The host has no such method: no cursor will change that. */
function isUnsupported({ status, errorName }: XrpcError): boolean {
  return status === 404 || status === 501 || errorName === 'MethodNotImplemented';
}

function rangeOf(from: string | undefined, to: string | undefined, err: XrpcError): SkippedRange {
  return { from, to, kind: err.kind, message: err.message, time: new Date().toISOString() };
}
