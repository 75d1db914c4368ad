import type { Logger } from '@headwater/ops';
import { type Producer, type Redis, readCursor } from '@headwater/streams';
import { XrpcError } from '@headwater/xrpc';
import { type DeadFrame, DeadFrames } from './dead-frames.ts';
import { FeedFaultError, type Outcome } from './feed.ts';
import { type HostKeys, hostKeys } from './keys.ts';
import type { Feed, IngesterMetrics } from './metrics.ts';
import type { Repairs } from './repairs.ts';

export interface IntakeOptions {
  feed: Feed;
  host: string;
  redis: Redis;
  producer: Producer;
  repairs: Repairs;
  /** Frames to outcomes, in order, one for one. Never throws for what a frame holds. */
  translate: (frames: Uint8Array[]) => Promise<Outcome[]>;
  /** A DID document has changed. */
  onIdentity?: (did: string) => Promise<void>;
  log: Logger;
  metrics: IngesterMetrics;
}

/**
 * After a reconnect a hole of this many numbers can't be the few events that
 * hosts leave out on purpose (of accounts taken down since).
 */
const suspiciousHole = 1000;
/** Connections that may end at an oversized frame before it is passed. */
const oversizedTries = 3;

/**
 * The durable side of one host's subscription: batches of frames into a stream
 * together with the cursor that covers them.
 *
 * The order is what makes a crash harmless: first the repairs that a batch
 * causes, then in one step its entries, its dead frames and the cursor. A crash
 * in between repeats the batch; none is lost, and the cursor is never above
 * what is durable.
 */
export class Intake {
  readonly #options: IntakeOptions;
  readonly #keys: HostKeys;
  readonly #dead: DeadFrames;
  #cursor: number | undefined;
  /** The next batch is the first of its connection. */
  #first = false;
  #oversized = { at: -1, times: 0 };

  constructor(options: IntakeOptions) {
    const { redis, producer, host, log } = options;
    this.#options = options;
    this.#keys = hostKeys(redis, producer.stream, host);
    this.#dead = new DeadFrames(redis, producer.stream, host, log);
  }

  /** The last seq that is durable; undefined when there is none yet. */
  get cursor(): number | undefined {
    return this.#cursor;
  }

  /** Reads the cursor back: after the lease was taken, before the first connection. */
  async load(): Promise<void> {
    const { redis, producer, host } = this.#options;
    const text = await readCursor(redis, producer.stream, host);
    const seq = Number(text ?? Number.NaN);
    this.#cursor = Number.isSafeInteger(seq) && seq >= 0 ? seq : undefined;
  }

  /** @throws FeedFaultError after the rest of the batch is durable; the signal's reason */
  async write(frames: Uint8Array[], signal: AbortSignal): Promise<void> {
    const outcomes = await this.#options.translate(frames);
    await this.#options.repairs.send(
      outcomes.flatMap(({ repair }) => repair ?? []),
      signal,
    );
    for (const { identity } of outcomes) if (identity) await this.#options.onIdentity?.(identity);
    await this.#commit(outcomes, deadOf(outcomes, frames), signal);
    for (const outcome of outcomes) this.#count(outcome);
    for (const { notice, fault } of outcomes) {
      if (notice) await this.#onNotice(notice.name, notice.message);
      if (fault) await this.#onFault(fault.error, fault.message);
    }
  }

  /** A connection is open: what it begins with is held against the cursor. */
  connected(): void {
    this.#first = true;
  }

  async #commit(outcomes: Outcome[], dead: DeadFrame[], signal: AbortSignal): Promise<void> {
    const { producer, host, feed, metrics } = this.#options;
    const sequenced = outcomes.filter(({ seq }) => seq !== undefined);
    const last = sequenced.at(-1);
    if (last?.seq === undefined && dead.length === 0) return;
    await this.#holdAgainstCursor(sequenced[0]?.seq);
    await producer.append(
      outcomes.flatMap(({ entry }) => (entry ? [entry] : [])),
      {
        signal,
        extra: await this.#dead.commands(dead),
        ...(last && { cursor: { host, value: String(last.seq) } }),
      },
    );
    if (last?.seq === undefined) return;
    this.#cursor = last.seq;
    metrics.progress(feed, host, last.seq, last.time);
  }

  /**
   * Hosts don't say when they have started their sequence again (lower numbers
   * come) or no longer have what the cursor asks for (much higher ones come).
   * Both are followed, and the repos are compared.
   */
  async #holdAgainstCursor(seq: number | undefined): Promise<void> {
    if (!this.#first || seq === undefined) return;
    this.#first = false;
    const cursor = this.#cursor;
    if (cursor === undefined || (seq > cursor && seq <= cursor + suspiciousHole)) return;
    const reason = seq <= cursor ? 'sequence-reset' : 'sequence-hole';
    this.#options.metrics.drop(this.#options.feed, reason);
    await this.#missed(`${reason}: the cursor is ${cursor}, the first event after it ${seq}`);
  }

  #count({ type, drops = [], entry }: Outcome): void {
    const { feed, metrics } = this.#options;
    if (entry !== undefined) metrics.event(feed, type);
    for (const drop of drops) metrics.drop(feed, drop);
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
    const cursor = this.#cursor;
    if (cursor === undefined) return;
    if (this.#oversized.at !== cursor) this.#oversized = { at: cursor, times: 0 };
    const steps = 2 ** (++this.#oversized.times - oversizedTries);
    if (steps < 1) return;
    this.#cursor = cursor + steps;
    this.#oversized.at = this.#cursor;
    this.#options.metrics.drop(this.#options.feed, 'oversized-frame');
    await this.#missed(`a frame above the limit was passed at ${cursor}`);
  }

  /** The host has never given a number this high: it has started again, and we begin with what is live. */
  async #forgetCursor(): Promise<void> {
    this.#cursor = undefined;
    await this.#options.redis.del(this.#keys.cursor);
    await this.#missed('the cursor is in the future: the host has started its sequence again');
  }

  /** Events were missed that no cursor brings back: the host's repos are listed again and compared. */
  async #missed(why: string): Promise<void> {
    const { redis, feed, host, log } = this.#options;
    log.error({ feed, host }, why);
    if (feed === 'firehose') await redis.set(hostKeys(redis, 'repo_backfill', host).relist, why);
  }
}

function deadOf(outcomes: Outcome[], frames: Uint8Array[]): DeadFrame[] {
  return outcomes.flatMap(({ dead, drops, seq }, i) =>
    dead ? [{ frame: frames[i]!, seq, reason: drops?.[0] ?? 'unknown', error: dead }] : [],
  );
}
