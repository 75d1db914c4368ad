import { type Logger, seam } from '@headwater/ops';
import { type AppendOptions, type Producer, type Redis, readCursor } from '@headwater/streams';
import { XrpcError } from '@headwater/xrpc';
import { type HostKeys, hostKeys } from '../keys.ts';
import type { Feed, IngesterMetrics } from '../metrics.ts';
import type { Repairs } from '../repairs.ts';
import { type Break, Continuity } from './continuity.ts';
import { DeadFrames, deadOf } from './dead-frames.ts';
import type { Claim, Doubles } from './doubles.ts';
import { FeedFaultError, type Outcome } from './feed.ts';
import { type Gate, type Item, weightOf } from './gate.ts';
import { Ledger } from './ledger.ts';
import { Outbox } from './outbox.ts';

export interface IntakeOptions {
  feed: Feed;
  host: string;
  redis: Redis;
  producer: Producer;
  /** The lease under which this host is read: without it nothing is written. */
  guard?: AppendOptions['guard'];
  repairs: Repairs;
  /** A frame to what it comes to. Never throws for what a frame holds. */
  translate: (frame: Uint8Array) => Outcome;
  /** What items have to pass on their way to the stream; it gives them on when they may be written. */
  gate?: (ready: (item: Item) => void) => Pick<Gate, 'admit' | 'flush'>;
  doubles?: Doubles;
  /** A DID document has changed. */
  onIdentity?: (did: string) => Promise<void>;
  /** Keys by which the enumerations of this host's repos are told to start afresh. */
  relistKeys?: readonly string[];
  /** Whether an enumeration has begun already, for a stream that is followed for the first time. */
  isListed?: () => Promise<boolean>;
  batch: { maxItems: number; maxWaitMs: number };
  log: Logger;
  metrics: IngesterMetrics;
}

/** Connections that may end at an oversized frame before it is passed. */
const oversizedTries = 3;
const batchBytes = 8 * 2 ** 20;
/** Between two writes of a busy stream: costs no latency that anybody sees, and saves most of the round trips. */
const paceMs = 5;
const missedLogMs = 10_000;

/**
 * The durable side of one host's subscription: frames into a stream together
 * with the cursor that covers them.
 *
 *     frame ──translate──► item ──gate (verification)──► outbox ──► repairs, then in one step
 *                                                                    entries, dead frames, cursor
 *
 * The order is what makes a crash harmless: the cursor stands at the last frame
 * before the first that is not durable, whatever overtook it. A crash repeats
 * what is above; none is lost.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #keys: HostKeys;
  readonly #dead: DeadFrames;
  readonly #outbox: Outbox<Item>;
  readonly #gate: Pick<Gate, 'admit' | 'flush'> | undefined;
  /** First copies that others may wait for. */
  readonly #claims = new Set<Claim>();
  #ledger = new Ledger();
  #continuity = new Continuity();
  /** Where the next connection begins: what came up to here is in hand or durable. */
  #position: number | undefined;
  #oversized = { at: -1, times: 0 };
  #failed: ((err: Error) => void) | undefined;
  #missedAt = 0;

  constructor(options: IntakeOptions) {
    const { redis, producer, host, log, batch } = options;
    this.#options = options;
    this.#keys = hostKeys(redis, producer.stream, host);
    this.#dead = new DeadFrames(redis, producer.stream, host, log);
    this.#outbox = new Outbox({
      write: (items, signal) => this.#write(items, signal),
      size: weightOf,
      maxItems: batch.maxItems,
      maxBytes: batchBytes,
      paceMs: Math.min(paceMs, batch.maxWaitMs),
    });
    this.#gate = options.gate?.((item) => this.#outbox.push(item));
  }

  /** The cursor for the next connection; undefined where there is none yet. */
  get cursor(): number | undefined {
    return this.#position;
  }

  /** Reads the cursor back: after the lease was taken, before the first connection. */
  async load(): Promise<void> {
    const { redis, producer, host } = this.#options;
    const text = await readCursor(redis, producer.stream, host);
    const seq = Number(text ?? Number.NaN);
    this.#position = Number.isSafeInteger(seq) && seq >= 0 ? seq : undefined;
    const time = Date.parse((await redis.get(this.#keys.time)) ?? '');
    this.#continuity = new Continuity(this.#position, Number.isNaN(time) ? undefined : time);
  }

  /** Writes what comes through until the signal aborts. @throws what makes going on impossible */
  async run(signal: AbortSignal): Promise<void> {
    const lost = new Promise<never>((_, reject) => {
      this.#failed = reject;
    });
    await Promise.race([this.#outbox.run(signal), lost]);
  }

  /** Nothing more is written: who waits for what is in hand here has to read it again. */
  end(): void {
    for (const claim of this.#claims) this.#options.doubles?.lost(claim);
    this.#claims.clear();
  }

  /** A connection is open: what it begins with is held against where we are. */
  connected(): void {
    this.#continuity.connected();
  }

  /**
   * Takes frames in; they are durable some time later.
   *
   * @throws FeedFaultError when the host has announced the end; the signal's reason
   */
  async accept(frames: readonly Uint8Array[], signal: AbortSignal): Promise<void> {
    await this.#outbox.room(signal);
    let items: Item[] = [];
    let fault: Outcome['fault'];
    for (const frame of frames) {
      const outcome = this.#options.translate(frame);
      fault ??= outcome.fault;
      if (outcome.identity !== undefined) {
        // What came before it was signed by the key that was known before it.
        await this.#admit(items, signal);
        await this.#gate?.flush();
        items = [];
      }
      await this.#look(outcome);
      const item = { outcome, frame, ticket: this.#ledger.open(outcome.seq) };
      if (outcome.claim) this.#claims.add(outcome.claim);
      if (outcome.seq !== undefined) this.#position = outcome.seq;
      if (!this.#isBehind(item)) items.push(item);
    }
    await this.#admit(items, signal);
    if (fault) await this.#onFault(fault.error, fault.message);
  }

  async #admit(items: readonly Item[], signal: AbortSignal): Promise<void> {
    if (items.length === 0) return;
    if (this.#gate) await this.#gate.admit(items, signal);
    else for (const item of items) this.#outbox.push(item);
  }

  /** What an event means before anything of it is durable. */
  async #look({ seq, time, notice, identity }: Outcome): Promise<void> {
    if (notice) await this.#onNotice(notice.name, notice.message);
    if (identity !== undefined) await this.#options.onIdentity?.(identity);
    if (seq === undefined) return;
    if (this.#position === undefined) await this.#begin(seq);
    const broken = this.#continuity.next(seq, time === undefined ? undefined : Date.parse(time));
    if (broken) await this.#onBreak(broken);
  }

  /** The first event of all: from before it nothing is known to have been seen, from it on everything is. */
  async #begin(seq: number): Promise<void> {
    const { producer, host, guard, isListed } = this.#options;
    const isLate = await isListed?.();
    await producer.append([], { guard, cursor: { host, value: String(Math.max(0, seq - 1)) } });
    seam('ingester:stream-begun');
    if (!isLate) return;
    this.#options.log.info(
      { feed: this.#options.feed, host },
      'listed again: the first look was over before the first event',
    );
    await this.#relist('repos were listed before the stream was followed');
  }

  /** Whether the item needs nothing but that the first copy of its event becomes durable. */
  #isBehind({ outcome, ticket }: Item): boolean {
    const { behind, ...own } = outcome;
    if (!behind) return false;
    behind.waiters.push({
      // Through the outbox like all others, so that the cursor follows.
      done: () => this.#outbox.push({ outcome: own, ticket }),
      lost: (err) => this.#failed?.(err),
    });
    return true;
  }

  async #write(items: Item[], signal: AbortSignal): Promise<void> {
    const { producer, host, guard, repairs, doubles } = this.#options;
    await repairs.send(
      items.flatMap(({ outcome }) => outcome.repair ?? []),
      signal,
    );
    seam('ingester:repairs-sent');
    const tickets = items.map(({ ticket }) => ticket);
    const cursor = this.#ledger.after(tickets);
    const bury = await this.#dead.commands(deadOf(items));
    const time = this.#continuity.time;
    await producer.append(
      items.flatMap(({ outcome }) => (outcome.entry ? [outcome.entry] : [])),
      {
        signal,
        guard,
        extra: (step) => {
          bury(step);
          if (cursor !== undefined && time !== undefined) {
            step.set(this.#keys.time, new Date(time).toISOString());
          }
        },
        ...(cursor !== undefined && { cursor: { host, value: String(cursor) } }),
      },
    );
    seam('ingester:live-written');
    this.#ledger.settle(tickets);
    for (const { outcome } of items) {
      this.#count(outcome);
      if (!outcome.claim) continue;
      doubles?.durable(outcome.claim);
      this.#claims.delete(outcome.claim);
    }
    this.#progress(items, cursor);
  }

  #progress(items: readonly Item[], cursor: number | undefined): void {
    const { metrics, feed, host } = this.#options;
    if (cursor === undefined) return;
    metrics.progress(feed, host, cursor, items.findLast(({ outcome }) => outcome.time)?.outcome.time);
  }

  #count({ type, drops = [], entry }: Outcome): void {
    const { feed, metrics } = this.#options;
    if (entry !== undefined) metrics.event(feed, type);
    for (const drop of drops) metrics.drop(feed, drop);
  }

  async #onBreak({ reason, detail }: Break): Promise<void> {
    this.#options.metrics.drop(this.#options.feed, reason);
    await this.#missed(`${reason}: ${detail}`);
  }

  async #onNotice(name: string, message: string | undefined): Promise<void> {
    const { log, feed, host, metrics } = this.#options;
    const outdated = name === 'OutdatedCursor';
    metrics.event(feed, outdated ? 'info-outdated-cursor' : 'info');
    log.warn({ feed, host, name, message }, 'the host has something to say');
    if (outdated) await this.#missed('the cursor is older than what the host keeps');
  }

  async #onFault(fault: string, message: string | undefined): Promise<never> {
    if (fault === 'FutureCursor') await this.#forgetCursor();
    throw new FeedFaultError(fault, message);
  }

  /** Why a connection ended may mean that the next one must not begin at the same place. */
  async onEnd(err: unknown): Promise<void> {
    if (!(err instanceof XrpcError)) return;
    // A refusal of the connection says the same as an error frame.
    if (err.errorName === 'FutureCursor') await this.#forgetCursor();
    if (err.kind === 'too-large') await this.#passOversized();
  }

  /** A frame that can't even be received would come again for ever: after some tries its number is passed. */
  async #passOversized(): Promise<void> {
    const cursor = this.#position;
    if (cursor === undefined) return;
    if (this.#oversized.at !== cursor) this.#oversized = { at: cursor, times: 0 };
    const steps = 2 ** (++this.#oversized.times - oversizedTries);
    if (steps < 1) return;
    this.#position = cursor + steps;
    this.#oversized.at = this.#position;
    this.#options.metrics.drop(this.#options.feed, 'oversized-frame');
    await this.#missed(`a frame above the limit was passed at ${cursor}`);
  }

  /** The host has never given a number this high: it has started again, and we begin with what is live. */
  async #forgetCursor(): Promise<void> {
    const { producer, guard } = this.#options;
    await this.#missed('the cursor is in the future: the host has started its sequence again');
    // What is still in hand belongs to the old numbers.
    this.#ledger.forget();
    this.#ledger = new Ledger();
    this.#continuity.forget();
    this.#position = undefined;
    await producer.append([], { guard, extra: (step) => step.del(this.#keys.cursor) });
  }

  /** Events were missed that no cursor brings back: the host's repos are listed again and compared. */
  async #missed(why: string): Promise<void> {
    const { feed, host, log } = this.#options;
    if (Date.now() - this.#missedAt > missedLogMs) log.error({ feed, host }, why);
    this.#missedAt = Date.now();
    await this.#relist(why);
  }

  async #relist(why: string): Promise<void> {
    const { redis, relistKeys = [] } = this.#options;
    for (const key of relistKeys) await redis.set(key, why);
    seam('ingester:missed-noted');
  }
}
