import { randomUUID } from 'node:crypto';
import { type Metrics, sleep, TransientError } from '@headwater/ops';
import { isPassing, type Redis, type Script } from '@headwater/streams';
import { acquireScript, releaseScript, renewScript, requestScript } from './scripts.ts';

/** Why a host can't be asked now. */
export type BusyReason = 'parked' | 'busy' | 'rate';
const busyReasons: BusyReason[] = ['parked', 'busy', 'rate'];

/** How a turn at a host ended. `none` says nothing about the host. */
export type LaneOutcome = 'ok' | 'failed' | 'limited' | 'none';

export interface Busy {
  busy: BusyReason;
  /** When it is worth another look, in ms from now. */
  waitMs: number;
}

export interface HostLanesOptions {
  redis: Redis;
  /** Start of the keys: `repo_backfill` gives `repo_backfill:host:HOST` and `repo_backfill:parked`. */
  prefix: string;
  /** Turns at once at one host, of all processes together. */
  concurrency: number;
  /** Requests sent to one host within a second, of all processes together. */
  requestsPerSecond: number;
  metrics: Metrics;
  /** A holder that is silent for so long is taken for dead. */
  leaseMs?: number;
  /** Failures in a row after which a host is parked. */
  strikes?: number;
  baseParkMs?: number;
  maxParkMs?: number;
}

const defaults = { leaseMs: 60_000, strikes: 3, baseParkMs: 5_000, maxParkMs: 15 * 60_000 };
/** A wait for the rate is sat out up to here; beyond, the entry makes room for another host's. */
const MAX_RATE_WAIT_MS = 250;
/** An idle lane's memory: long enough that a host's failures are not forgotten between two of its repos. */
const KEEP_MS = 2 * 3600_000;

/**
 * One lane for each host, shared by all copies of the service through Redis:
 * so many requests at once, so many a second, none while the host is parked.
 *
 *   open ──429──► parked (as long as asked, else growing)
 *    │ ▲             │ time passes
 *    │ └──success──┐ ▼
 *    └─failures─► parked (growing) ──► probing: one request at a time
 */
export class HostLanes implements AsyncDisposable {
  readonly #options: HostLanesOptions & typeof defaults;
  readonly #held = new Map<string, Lane>();
  readonly #renewing: NodeJS.Timeout;
  /** When the next deferred entry of a host should come back, so that they don't all come at once. */
  readonly #tails = new Map<string, number>();
  readonly #refusals;

  constructor(options: HostLanesOptions) {
    this.#options = { ...defaults, ...options };
    this.#renewing = setInterval(() => void this.#renew(), this.#options.leaseMs / 3).unref();
    this.#refusals = options.metrics.counter(
      'backfiller_host_refusals_total',
      'Repos put back because their host had no turn to give, by reason.',
      ['reason'],
    );
    options.metrics.gauge('backfiller_hosts_parked', 'Hosts that are left alone for a while.', [], {
      collect: this.#countParked(),
    });
  }

  /** Takes a turn at a host and waits for its rate; or says that the host has none to give. */
  async acquire(host: string, signal: AbortSignal): Promise<Lane | Busy> {
    const { concurrency, leaseMs, strikes } = this.#options;
    const token = randomUUID();
    const pace = [this.#intervalMs, this.#burstMs, MAX_RATE_WAIT_MS];
    const answer = await this.#run(acquireScript, host, [
      token,
      concurrency,
      ...pace,
      leaseMs,
      strikes,
      KEEP_MS,
    ]);
    const [code, waitMs] = answer as [number, number];
    if (code !== 0) {
      const busy = busyReasons[code - 1]!;
      this.#refusals.inc({ reason: busy });
      return { busy, waitMs: this.spread(host, waitMs) };
    }
    const lane = new Lane(host, token, this);
    this.#held.set(token, lane);
    await sleep(waitMs, signal);
    return lane;
  }

  /** Counts one more request of a holder, and waits for its time. */
  async request(host: string, signal: AbortSignal): Promise<void> {
    const waitMs = await this.#run(requestScript, host, [this.#intervalMs, this.#burstMs, KEEP_MS]);
    await sleep(waitMs as number, signal);
  }

  /** Gives a turn back. @returns for how long the host is parked now, in ms */
  async release(lane: Lane, outcome: LaneOutcome, retryAfterMs = 0): Promise<number> {
    const { redis, strikes, baseParkMs, maxParkMs, prefix } = this.#options;
    if (!this.#held.delete(lane.token)) return 0;
    const asked = Math.ceil(retryAfterMs);
    const pauses = [strikes, baseParkMs, maxParkMs, Math.random()];
    const answer = await this.#run(releaseScript, lane.host, [
      lane.token,
      outcome,
      asked,
      ...pauses,
      KEEP_MS,
    ]);
    const parkedMs = answer as number;
    if (parkedMs > 0) await redis.zadd(`${prefix}:parked`, Date.now() + parkedMs, lane.host);
    return parkedMs;
  }

  /** A time from now, after `waitMs`, at which a deferred entry of this host may come back. */
  spread(host: string, waitMs: number): number {
    const now = Date.now();
    const due = Math.max(this.#tails.get(host) ?? 0, now + waitMs) + this.#intervalMs;
    this.#tails.set(host, due);
    if (this.#tails.size > 10_000) this.#forgetTails(now);
    return due - now;
  }

  #forgetTails(now: number): void {
    for (const [host, due] of this.#tails) if (due < now) this.#tails.delete(host);
  }

  async #renew(): Promise<void> {
    const { leaseMs } = this.#options;
    const byHost = Map.groupBy(this.#held.values(), (lane) => lane.host);
    for (const [host, lanes] of byHost) {
      const tokens = lanes.map((lane) => lane.token);
      // Redis away: the leases may run out, and more requests at once are sent for a moment.
      await this.#run(renewScript, host, [leaseMs, ...tokens]).catch(() => {});
    }
  }

  #countParked() {
    const { redis, prefix } = this.#options;
    return async function (this: { set(value: number): void }) {
      await redis.zremrangebyscore(`${prefix}:parked`, '-inf', Date.now());
      this.set(await redis.zcard(`${prefix}:parked`));
    };
  }

  async #run(script: Script, host: string, args: (string | number)[]): Promise<unknown> {
    const { redis, prefix } = this.#options;
    try {
      return await script.run(redis, [`${prefix}:host:${host}`], args);
    } catch (cause) {
      if (!isPassing(cause)) throw cause;
      throw new TransientError(`Redis: ${(cause as Error).message}`, { cause });
    }
  }

  get #intervalMs(): number {
    return 1000 / this.#options.requestsPerSecond;
  }

  /** A second's worth of requests may come at once after a quiet time. */
  get #burstMs(): number {
    return 1000 - this.#intervalMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#renewing);
    await Promise.allSettled([...this.#held.values()].map((lane) => this.release(lane, 'none')));
  }
}

/** A turn at one host. Disposing of it says nothing about the host; `end` does. */
export class Lane implements AsyncDisposable {
  readonly host: string;
  readonly token: string;
  readonly #lanes: HostLanes;

  constructor(host: string, token: string, lanes: HostLanes) {
    this.host = host;
    this.token = token;
    this.#lanes = lanes;
  }

  /** Before each request after the first. */
  async request(signal: AbortSignal): Promise<void> {
    await this.#lanes.request(this.host, signal);
  }

  /** @returns for how long the host is parked now, in ms */
  async end(outcome: LaneOutcome, retryAfterMs?: number): Promise<number> {
    return this.#lanes.release(this, outcome, retryAfterMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lanes.release(this, 'none');
  }
}
