import { randomUUID } from 'node:crypto';
import { type Metrics, sleep, TransientError } from '@headwater/ops';
import { isPassing, pausedHosts, type Redis, type Script } from '@headwater/streams';
import { acquireScript, releaseScript, renewScript, requestScript } from './scripts.ts';
import { Spread } from './spread.ts';

/** Why a host can't be asked now. `paused`: by an operator; `given-up`: parked, and it has failed for long. */
export type BusyReason = 'parked' | 'busy' | 'rate' | 'paused' | 'given-up';
const busyReasons: BusyReason[] = ['parked', 'busy', 'rate'];
const PARKED = 1;

/** How a turn at a host ended. `none` says nothing about the host. */
export type LaneOutcome = 'ok' | 'failed' | 'limited' | 'none';

export interface Busy {
  busy: BusyReason;
  /** When it is worth another look, in ms from now. */
  waitMs: number;
}

export interface HostLanesOptions {
  redis: Redis;
  /** Start of the keys: `repo_backfill` gives `repo_backfill:host:HOST`, `repo_backfill:parked` and `repo_backfill:failing`. */
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
  /** Failures in a row, pauses between them, after which its entries are not kept waiting any more. */
  giveUpAfter?: number;
  baseParkMs?: number;
  maxParkMs?: number;
}

/** With these pauses a host has failed for some two hours when it is given up. */
const defaults = { leaseMs: 60_000, strikes: 3, giveUpAfter: 16, baseParkMs: 5_000, maxParkMs: 15 * 60_000 };
/** A wait for the rate is sat out up to here; beyond, the entry makes room for another host's. */
const MAX_RATE_WAIT_MS = 250;
/** Longest wait of a scrape for Redis. */
const SCRAPE_MS = 2_000;
/** Parked hosts are not asked for in Redis again for so long; whoever lets one go there is heard after that. */
const TRUSTED_MS = 1_000;
/** An idle lane's memory: long enough that a host's failures are not forgotten between two of its repos. */
const KEEP_MS = 2 * 3600_000;
/** How old a look at what operators have paused may be. */
const PAUSES_MS = 1_000;
/** When a repo of a paused host is worth another look. */
const PAUSED_MS = 30_000;

/**
 * One lane for each host, shared by all copies of the service through Redis:
 * so many requests at once, so many a second, none while the host is parked.
 *
 *   open ──429──► parked (as long as asked, else growing)
 *    │ ▲             │ time passes
 *    │ └──success──┐ ▼
 *    └─failures─► parked (growing) ──► probing: one request at a time
 *                       └─ for very long: given up, entries are not kept
 *
 * A host that an operator has paused gets no turns at all.
 */
export class HostLanes implements AsyncDisposable {
  readonly #options: HostLanesOptions & typeof defaults;
  readonly #held = new Map<string, Lane>();
  readonly #renewing: NodeJS.Timeout;
  readonly #spread: Spread;
  /** Hosts that Redis said are parked, and how long that is believed. */
  readonly #parked = new Map<string, { busy: BusyReason; end: number; until: number }>();
  readonly #refusals;
  #paused = { at: 0, hosts: Promise.resolve(new Set<string>()) };

  constructor(options: HostLanesOptions) {
    this.#options = { ...defaults, ...options };
    this.#spread = new Spread(options.concurrency, this.#intervalMs);
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
    const { concurrency, leaseMs, strikes, giveUpAfter } = this.#options;
    if ((await this.#pausedHosts()).has(host)) {
      this.#refusals.inc({ reason: 'paused' });
      return { busy: 'paused', waitMs: this.spread(host, PAUSED_MS) };
    }
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
    const [code, waitMs, failures] = answer as [number, number, number];
    if (code !== 0) {
      const busy = failures >= giveUpAfter ? 'given-up' : busyReasons[code - 1]!;
      if (code === PARKED) this.#remember(host, busy, waitMs);
      return this.#refuse(host, busy, waitMs);
    }
    const lane = new Lane(host, token, this);
    this.#held.set(token, lane);
    // A timer of 0 takes a millisecond, and the loop a turn of its own.
    if (waitMs > 0) await sleep(waitMs, signal);
    return lane;
  }

  /** A parked host, where that was learnt within the last second: so a long run of its entries passes quickly. */
  knownBusy(host: string): Busy | undefined {
    const known = this.#parked.get(host);
    const now = Date.now();
    if (!known || known.until <= now) return undefined;
    return this.#refuse(host, known.busy, known.end - now);
  }

  #remember(host: string, busy: BusyReason, waitMs: number): void {
    const now = Date.now();
    for (const [other, { until }] of this.#parked) if (until <= now) this.#parked.delete(other);
    this.#parked.set(host, { busy, end: now + waitMs, until: now + Math.min(waitMs, TRUSTED_MS) });
  }

  #refuse(host: string, busy: BusyReason, waitMs: number): Busy {
    this.#refusals.inc({ reason: busy });
    return { busy, waitMs: this.spread(host, waitMs) };
  }

  /** Counts one more request of a holder, and waits for its time. */
  async request(host: string, signal: AbortSignal): Promise<void> {
    const waitMs = await this.#run(requestScript, host, [this.#intervalMs, this.#burstMs, KEEP_MS]);
    if ((waitMs as number) > 0) await sleep(waitMs as number, signal);
  }

  /** Gives a turn back. @returns for how long the host is parked now, in ms */
  async release(lane: Lane, outcome: LaneOutcome, retryAfterMs = 0, error = ''): Promise<number> {
    const { redis, strikes, baseParkMs, maxParkMs, prefix } = this.#options;
    if (!this.#held.delete(lane.token)) return 0;
    if (outcome === 'ok') this.#spread.took(lane.host, performance.now() - lane.since);
    const asked = Math.ceil(retryAfterMs);
    const pauses = [strikes, baseParkMs, maxParkMs, Math.random()];
    const answer = await this.#run(releaseScript, lane.host, [
      lane.token,
      outcome,
      asked,
      ...pauses,
      KEEP_MS,
      error,
    ]);
    const [parkedMs, recovered] = answer as [number, number];
    if (parkedMs > 0) await redis.zadd(`${prefix}:parked`, Date.now() + parkedMs, lane.host);
    if (recovered === 1) await redis.zrem(`${prefix}:failing`, lane.host);
    else if (outcome === 'failed' || outcome === 'limited') await this.#noteFailing(lane.host);
    return parkedMs;
  }

  /** For people: as long as the lane remembers it. */
  async #noteFailing(host: string): Promise<void> {
    const { redis, prefix } = this.#options;
    await redis.zadd(`${prefix}:failing`, Date.now(), host);
    await redis.zremrangebyscore(`${prefix}:failing`, '-inf', Date.now() - KEEP_MS);
  }

  /** What operators have paused, looked up once a second; as it was while Redis is away. */
  #pausedHosts(): Promise<Set<string>> {
    const before = this.#paused;
    if (Date.now() - before.at < PAUSES_MS) return before.hosts;
    const hosts = pausedHosts(this.#options.redis).then(
      (found) => new Set(Object.keys(found)),
      () => before.hosts,
    );
    this.#paused = { at: Date.now(), hosts };
    return hosts;
  }

  /** When a deferred entry of this host may come back: after `waitMs`, in its turn; in ms from now. */
  spread(host: string, waitMs: number): number {
    return this.#spread.next(host, waitMs);
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
    const count = async () => {
      await redis.zremrangebyscore(`${prefix}:parked`, '-inf', Date.now());
      return await redis.zcard(`${prefix}:parked`);
    };
    return async function (this: { set(value: number): void }) {
      // A Redis that is away does not hold up the scrape.
      const parked = await Promise.race([count().catch(() => undefined), sleep(SCRAPE_MS)]);
      if (parked !== undefined) this.set(parked);
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
  readonly since = performance.now();
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
  async end(outcome: LaneOutcome, retryAfterMs?: number, error?: string): Promise<number> {
    return this.#lanes.release(this, outcome, retryAfterMs, error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lanes.release(this, 'none');
  }
}
