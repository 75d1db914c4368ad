import { backoff, type Logger, sleep } from '@headwater/ops';
import type { Redis } from '@headwater/streams';
import { type ListedHost, listHosts, listRepos, type XrpcClient, XrpcError } from '@headwater/xrpc';
import { hostKeys } from '../keys.ts';
import type { IngesterMetrics } from '../metrics.ts';
import { Enumeration, type EnumerationOptions, enumerationDone } from './enumerate.ts';
import { LoopingCursorError } from './loop-detector.ts';
import { EnumerationStuckError } from './page-reader.ts';

export interface HostListingOptions extends Omit<EnumerationOptions, 'name' | 'host' | 'read' | 'isPds'> {
  redis: Redis;
  client: XrpcClient;
  /** The relay as in the settings, and its name in keys. */
  address: string;
  relay: string;
  /** Hosts that are listed elsewhere. */
  except: readonly string[];
  /** Hosts listed at once. */
  concurrency: number;
  /** Longest turn of one host before others have theirs, in ms. */
  turnMs?: number;
  /** First and longest pause of a host that fails, in ms. */
  failure?: { baseMs: number; maxMs: number };
  pollMs?: number;
  log: Logger;
  metrics: IngesterMetrics;
}

/** Hosts that a relay is believed to know. */
const mostHosts = 100_000;
/**
 * Repos that a host may list in one look: so many times what the relay knows of it, and this many at least. What is
 * beyond comes with the next look: a host that makes DIDs up costs no more than that.
 */
const generosity = 4;
const leastRepos = 10_000;
const answerMs = 30_000;

/**
 * Finds the repos that a relay does not list: asks the relay for the hosts that
 * it knows, and each host for its repos.
 *
 *     waiting for the relay's own list ──► hosts known ──due──► listed, a turn at a time ──► due again later
 *                                                                   └── fails ──growing pause──► due
 *
 * Begins when the relay's own list is through, since nearly all that a host
 * lists is known by then and costs a look and no fetch. What is due when is
 * kept in Redis; memory holds a line a host.
 */
export class HostListing {
  readonly #options: Required<HostListingOptions>;
  readonly #key: string;
  readonly #running = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, number>();
  /** Repos that the relay says a host has. */
  readonly #counts = new Map<string, number>();
  /** What hosts may still list in their present look. */
  readonly #allowance = new Map<string, number>();
  #listAt = 0;

  constructor(options: HostListingOptions) {
    this.#options = {
      turnMs: 5 * 60_000,
      failure: { baseMs: 60_000, maxMs: 24 * 3_600_000 },
      pollMs: 1_000,
      pause: { baseMs: 1_000, maxMs: 10_000 },
      guard: undefined as never,
      ...options,
      isPatient: false,
    };
    this.#key = hostKeys(options.redis, options.producer.stream, options.relay).hosts;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { pollMs, concurrency, relistMs } = this.#options;
    await this.#untilRelayIsListed(signal);
    while (!signal.aborted) {
      if (Date.now() >= this.#listAt) {
        await this.#listHosts(signal);
        this.#listAt = Date.now() + relistMs;
      }
      await this.#relist();
      for (const host of await this.#due(concurrency - this.#running.size)) this.#begin(host, signal);
      await Promise.race([
        sleep(pollMs, signal),
        ...(this.#running.size >= concurrency ? this.#running.values() : []),
      ]);
    }
    await Promise.all(this.#running.values());
  }

  async #untilRelayIsListed(signal: AbortSignal): Promise<void> {
    const { redis, producer, relay, pollMs } = this.#options;
    const { cursor, resume, skipped } = hostKeys(redis, producer.stream, relay);
    while (!signal.aborted) {
      if ((await redis.get(cursor)) === enumerationDone) return;
      // Listed before, or stuck somewhere: then the hosts are the way to what is missing.
      if ((await redis.exists(resume)) === 1 || (await redis.exists(skipped)) === 1) return;
      await sleep(pollMs, signal);
    }
  }

  /** Events were missed: every host is listed afresh, for it says also who is not active any more. */
  async #relist(): Promise<void> {
    const { redis, producer, relay } = this.#options;
    const keysFor = (name: string) => hostKeys(redis, producer.stream, name);
    const { relist } = keysFor(`hosts/${relay}`);
    const why = await redis.get(relist);
    if (why === null) return;
    const now = Date.now();
    for (const host of await redis.zrange(this.#key, '0', '-1')) {
      await redis.set(keysFor(host).relist, why);
      // Those that are left alone because they fail stay so.
      if (!this.#failures.has(host)) await redis.zadd(this.#key, 'XX', now, host);
    }
    await redis.del(relist);
  }

  async #listHosts(signal: AbortSignal): Promise<void> {
    const { client, address, log, relay } = this.#options;
    let known = 0;
    let cursor: string | undefined;
    const seen = new Set<string>();
    try {
      do {
        const options = { cursor, limit: 1000, signal, trusted: true, deadlineMs: answerMs };
        const page = await listHosts(client, address, options);
        known += await this.#take(page.hosts);
        cursor = page.cursor === undefined || seen.has(page.cursor) ? undefined : page.cursor;
        if (cursor !== undefined) seen.add(cursor);
      } while (cursor !== undefined && known < mostHosts && seen.size < mostHosts);
      log.info({ relay, hosts: known }, 'knows the hosts of the relay');
    } catch (err) {
      if (signal.aborted || !(err instanceof XrpcError)) throw err;
      log.warn({ relay, err, known }, 'the relay does not list its hosts; trying again later');
    }
  }

  /** Notes hosts that are new as due now. */
  async #take(hosts: readonly ListedHost[]): Promise<number> {
    const { redis, except } = this.#options;
    const names: string[] = [];
    for (const { hostname, accountCount, status } of hosts) {
      const name = nameOf(hostname);
      if (name === undefined || status === 'banned' || except.includes(name)) continue;
      names.push(name);
      if (accountCount !== undefined && this.#counts.size < mostHosts) this.#counts.set(name, accountCount);
    }
    const members = names.flatMap((name) => [Date.now(), name]);
    if (members.length > 0) await redis.zadd(this.#key, 'NX', ...members);
    return names.length;
  }

  async #due(most: number): Promise<string[]> {
    if (most <= 0) return [];
    // Those under way are due still: more than are wanted must be looked at.
    const limit = most + this.#running.size;
    const due = await this.#options.redis.zrangebyscore(this.#key, '-inf', Date.now(), 'LIMIT', 0, limit);
    return due.filter((host) => !this.#running.has(host)).slice(0, most);
  }

  #begin(host: string, signal: AbortSignal): void {
    const { metrics, redis, log } = this.#options;
    const turn = this.#turn(host, signal)
      .then(async ({ afterMs, outcome }) => {
        metrics.hostLook(outcome);
        await redis.zadd(this.#key, Date.now() + afterMs, host);
      })
      .catch((err: unknown) => {
        if (!signal.aborted) log.warn({ host, err }, 'a host could not be listed; again soon');
      })
      .finally(() => this.#running.delete(host));
    this.#running.set(host, turn);
  }

  async #turn(host: string, signal: AbortSignal): Promise<{ afterMs: number; outcome: string }> {
    const { relistMs, turnMs, pollMs } = this.#options;
    const turn = AbortSignal.any([signal, AbortSignal.timeout(turnMs)]);
    const listing = this.#enumerationOf(host);
    const most = this.#allowance.get(host) ?? this.#allowanceOf(host);
    let listed = 0;
    try {
      const { isEnd } = await listing.look(turn, most);
      this.#failures.delete(host);
      this.#allowance.delete(host);
      return { afterMs: relistMs, outcome: isEnd ? 'done' : 'more-than-expected' };
    } catch (err) {
      signal.throwIfAborted();
      listed = listing.listed;
      this.#allowance.set(host, most - listed);
      // It has used up its turn, not failed.
      if (turn.aborted && listed > 0) return { afterMs: pollMs, outcome: 'out-of-time' };
      if (err instanceof LoopingCursorError || err instanceof EnumerationStuckError) {
        await listing.note(err, signal);
        return { afterMs: relistMs, outcome: 'stuck' };
      }
      if (!turn.aborted && !(err instanceof XrpcError)) throw err;
      return { afterMs: this.#pauseOf(host, err), outcome: 'failed' };
    }
  }

  #pauseOf(host: string, err: unknown): number {
    const failures = (this.#failures.get(host) ?? 0) + 1;
    this.#failures.set(host, failures);
    const told = err instanceof XrpcError ? (err.retryAfterMs ?? 0) : 0;
    return Math.max(told, backoff(failures, this.#options.failure));
  }

  #allowanceOf(host: string): number {
    return Math.max(leastRepos, generosity * (this.#counts.get(host) ?? 0));
  }

  #enumerationOf(host: string): Enumeration {
    const { client } = this.#options;
    const read: EnumerationOptions['read'] = (cursor, limit, signal) =>
      listRepos(client, host, { cursor, limit, signal, deadlineMs: answerMs });
    return new Enumeration({ ...this.#options, name: host, host, read, isPds: true });
  }
}

/** A host's name in keys; undefined for what is no host name. */
function nameOf(hostname: string): string | undefined {
  const name = hostname.trim().toLowerCase();
  return /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?$/.test(name) ? name : undefined;
}
