import { encodeRepoJob, type RepoJob } from '@headwater/events';
import { type Logger, seam, sleep } from '@headwater/ops';
import { type AppendOptions, keysOf, type Producer, type Redis, readCursor } from '@headwater/streams';
import type { ListedRepo, RepoPage } from '@headwater/xrpc';
import { type HostKeys, hostKeys } from '../keys.ts';
import type { IngesterMetrics } from '../metrics.ts';
import { LoopDetector, LoopingCursorError } from './loop-detector.ts';
import { EnumerationStuckError, type PageRead, PageReader } from './page-reader.ts';
import type { SkippedRange } from './skip.ts';

/** The cursor's value when an enumeration has come to its end. */
export const enumerationDone = '!ingester-done';
const mostSkipsKept = 10_000;

export interface EnumerationOptions {
  redis: Redis;
  producer: Producer;
  /** The name of this enumeration in keys: the host, or `HOST/COLLECTION`. */
  name: string;
  /** The host's name in the entries. */
  host: string;
  /** One page. @throws XrpcError */
  read: (cursor: string | undefined, limit: number, signal: AbortSignal) => Promise<RepoPage>;
  /** Pause before a finished enumeration looks for new repos, in milliseconds. */
  relistMs: number;
  /** The lease under which this host is listed: without it nothing is written. */
  guard?: AppendOptions['guard'];
  /**
   * A PDS goes on listing accounts that have left it, as deactivated. Its word on who is not active is only a reason
   * to ask the account's present PDS.
   */
  isPds?: boolean;
  /** A host that is down is waited for; otherwise the look fails. */
  isPatient?: boolean;
  pause?: { baseMs: number; maxMs: number };
  log: Logger;
  metrics: IngesterMetrics;
}

/**
 * Lists a host's repos into `repo_backfill`, again and again.
 *
 *     look ──page──► look ──last page──► done ──relistMs──► look from the last real cursor
 *      └── stuck or looping ──relistMs──► look from where it stopped
 *
 * A page and the cursor after it are one step in Redis, so a crash repeats a
 * page at most and loses none. A new look goes on from the last cursor before
 * the end, so that it finds new accounts without listing the network again;
 * where something was missed on the live side (`relist`) it starts afresh.
 */
export class Enumeration {
  readonly #options: EnumerationOptions;
  readonly #keys: HostKeys;
  readonly #reader: PageReader;
  /** Repos listed by the present look. */
  listed = 0;
  /** When the present look was begun, where it is one from the start because events were missed. */
  #look: number | undefined;
  /** The last page of the look before, which a host without a cursor at its end repeats. */
  #repeated = new Set<string>();

  constructor(options: EnumerationOptions) {
    const { redis, producer, name, read, log, metrics, pause, isPatient = true } = options;
    this.#options = options;
    this.#keys = hostKeys(redis, producer.stream, name);
    const onError = (err: { kind: string }) => metrics.listingError(err.kind);
    this.#reader = new PageReader({
      read,
      log,
      onError,
      isPatient,
      ...(!isPatient && { maxTries: 2 }),
      ...pause,
    });
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { name, log, metrics, relistMs } = this.#options;
    while (!signal.aborted) {
      metrics.listing(name, 'listing');
      try {
        const { repos } = await this.look(signal);
        log.info({ enumeration: name, repos }, 'the enumeration is at its end');
        metrics.listing(name, 'done');
      } catch (err) {
        if (signal.aborted) throw err;
        await this.note(err, signal);
        metrics.listing(name, 'stuck');
      }
      await sleep(relistMs, signal);
    }
  }

  /**
   * One way from the present cursor to the end, or until so many repos are listed.
   *
   * @throws XrpcError of a host that is not waited for, EnumerationStuckError, LoopingCursorError; the signal's reason
   */
  async look(
    signal: AbortSignal,
    most = Number.POSITIVE_INFINITY,
  ): Promise<{ repos: number; isEnd: boolean }> {
    const { cursor: from, afresh } = await this.#start();
    this.#look = afresh ? Date.now() : await this.#lookUnderWay();
    const loops = new LoopDetector(this.#options.host, from);
    let cursor = from;
    this.listed = 0;
    for (let first = true; ; first = false) {
      const read = await this.#reader.next(cursor, signal);
      seam('ingester:page-read');
      const next = read.page.cursor;
      if (next !== undefined) loops.next(next);
      await this.#write(read, first && afresh, signal);
      this.listed += read.page.repos.length;
      if (next === undefined || this.listed >= most) return { repos: this.listed, isEnd: next === undefined };
      cursor = next;
    }
  }

  async #start(): Promise<{ cursor: string | undefined; afresh: boolean }> {
    const { redis, producer, name } = this.#options;
    if ((await redis.exists(this.#keys.relist)) === 1) {
      this.#repeated.clear();
      return { cursor: undefined, afresh: true };
    }
    const cursor = await readCursor(redis, producer.stream, name);
    const from = cursor === enumerationDone ? await redis.get(this.#keys.resume) : cursor;
    return { cursor: from ?? undefined, afresh: false };
  }

  /** The look from the start that a process before this one has begun. */
  async #lookUnderWay(): Promise<number | undefined> {
    const begun = await this.#options.redis.get(this.#keys.look);
    return begun === null ? undefined : Number(begun);
  }

  async #write({ page, cursor, skipped }: PageRead, afresh: boolean, signal: AbortSignal): Promise<void> {
    const { producer, name, metrics, guard } = this.#options;
    const last = page.cursor === undefined;
    const noteworthy = skipped !== undefined && (await this.#isNew(skipped));
    // Skipped to beyond the end: what is added there later must be found.
    const resume = page.repos.length === 0 && skipped ? skipped.from : cursor;
    const repos = page.repos.filter((repo) => !this.#repeated.has(identify(repo)));
    await producer.append(
      repos.map((repo) => this.#job(repo)),
      {
        signal,
        guard,
        cursor: { host: name, value: page.cursor ?? enumerationDone },
        extra: (step) => {
          if (last && resume !== undefined) step.set(this.#keys.resume, resume);
          if (afresh) step.del(this.#keys.relist);
          if (afresh) step.set(this.#keys.look, String(this.#look));
          if (last) this.#endLook(step);
          if (noteworthy) this.#keep(step, skipped);
        },
      },
    );
    seam('ingester:page-written');
    this.#repeated = new Set(last ? page.repos.map(identify) : []);
    metrics.page(page.repos.length, page.repos.filter((repo) => !repo.active).length, page.unusable);
    if (noteworthy) this.#logSkip(skipped);
  }

  /** What a relay's whole list does not name is asked about: see absent.ts of packages/database. */
  #endLook(step: { call(name: string, key: string, ...args: (string | number)[]): unknown }) {
    const { redis, producer, name, host, isPds = false } = this.#options;
    step.call('DEL', this.#keys.look);
    if (this.#look === undefined || isPds || name !== host) return;
    step.call('HSET', keysOf(redis, producer.stream).looked, `${name} ${this.#look}`, '{}');
  }

  #job({ did, rev, active, status }: ListedRepo) {
    const { host, isPds = false } = this.#options;
    const look = this.#look === undefined ? {} : { look: this.#look };
    const job: RepoJob = { did, host, rev, active, ...(status !== undefined && { status }), ...look };
    return encodeRepoJob(isPds && !active ? { ...job, rev: '', reason: 'account' } : job);
  }

  #keep(
    step: { call(name: string, key: string, ...args: (string | number)[]): unknown },
    range: SkippedRange,
  ) {
    step.call('RPUSH', this.#keys.skipped, JSON.stringify(range));
    step.call('LTRIM', this.#keys.skipped, -mostSkipsKept, -1);
  }

  /** The next look may come to the same place again. */
  async #isNew({ from, to }: SkippedRange): Promise<boolean> {
    const before = await this.#options.redis.lindex(this.#keys.skipped, -1);
    const known = before === null ? undefined : (JSON.parse(before) as SkippedRange);
    return known === undefined || known.from !== from || known.to !== to;
  }

  #logSkip(range: SkippedRange): void {
    this.#options.metrics.skip();
    this.#options.log.error(
      { enumeration: this.#options.name, range },
      'left out a range of the enumeration',
    );
  }

  /** What ends a look early is written down; the next look starts where this one stopped. @throws any other error */
  async note(err: unknown, signal: AbortSignal): Promise<void> {
    const { log, metrics, name, producer, guard } = this.#options;
    if (err instanceof LoopingCursorError) {
      metrics.loop();
      log.error({ enumeration: name, err }, 'the cursors come round again; the look ends here');
    } else if (err instanceof EnumerationStuckError) {
      if (!(await this.#isNew(err.range))) return;
      await producer.append([], { signal, guard, extra: (step) => this.#keep(step, err.range) });
      this.#logSkip(err.range);
    } else {
      throw err;
    }
  }
}

function identify({ did, rev, active, status }: ListedRepo): string {
  return `${did} ${rev} ${active} ${status ?? ''}`;
}
