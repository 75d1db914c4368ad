import { sleep, untilAborted } from '@headwater/ops';
import type { Redis } from './connect.ts';
import type { Log } from './types.ts';

/** What an operator can have stand still, by the services' names in docker-compose.prod.yml. */
export const pausables = [
  'ingester-firehose',
  'ingester-backfill',
  'ingester-labels',
  'repo-backfiller',
  'indexer-live',
  'indexer-backfill',
] as const;

export type Pausable = (typeof pausables)[number];

export interface Pause {
  at: string;
  by: string;
  reason: string | null;
}

const key = 'headwater:paused';
const hostsKey = 'headwater:paused-hosts';

/** What stands still at present. */
export function pausesOf(redis: Redis): Promise<Partial<Record<Pausable, Pause>>> {
  return read(redis, key);
}

/** Hosts that are asked for no repos at present. */
export function pausedHosts(redis: Redis): Promise<Record<string, Pause>> {
  return read(redis, hostsKey);
}

async function read(redis: Redis, from: string): Promise<Record<string, Pause>> {
  const all = await redis.hgetall(from);
  return Object.fromEntries(Object.entries(all).map(([what, text]) => [what, JSON.parse(text) as Pause]));
}

/** Has every copy of a service stand still, those that start later too. */
export function pause(redis: Redis, what: Pausable, why: Omit<Pause, 'at'>): Promise<void> {
  return write(redis, key, what, why);
}

/** Has every copy of the backfiller leave a PDS host alone, named as in its repos' DID documents. */
export function pauseHost(redis: Redis, host: string, why: Omit<Pause, 'at'>): Promise<void> {
  return write(redis, hostsKey, host, why);
}

async function write(redis: Redis, into: string, what: string, why: Omit<Pause, 'at'>): Promise<void> {
  await redis.hset(into, what, JSON.stringify({ at: new Date().toISOString(), ...why }));
}

/** @returns whether it stood still */
export async function resume(redis: Redis, what: Pausable): Promise<boolean> {
  return (await redis.hdel(key, what)) === 1;
}

/** @returns whether the host was left alone by an operator */
export async function resumeHost(redis: Redis, host: string): Promise<boolean> {
  return (await redis.hdel(hostsKey, host)) === 1;
}

export interface PausableOptions {
  redis: Redis;
  what: Pausable;
  signal: AbortSignal;
  log: Log;
  pollMs?: number;
}

/**
 * Runs a task while its service may run. A pause ends it like a stop: what is in
 * hand is finished, the rest goes back; then it waits for the end of the pause.
 *
 *     running ──paused──► draining ──► standing still ──resumed──► running
 */
export async function whileAllowed(
  options: PausableOptions,
  task: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { what, signal, log } = options;
  while (!signal.aborted) {
    await until(options, signal, false);
    const stop = new AbortController();
    const both = AbortSignal.any([signal, stop.signal]);
    let isPaused = false;
    const watching = until(options, both, true).then(() => {
      if (both.aborted) return;
      isPaused = true;
      log.info({ service: what }, 'paused by an operator');
      stop.abort(new Error('paused by an operator'));
    });
    try {
      if (!signal.aborted) await task(both);
    } catch (error) {
      if (!isPaused) throw error;
    } finally {
      stop.abort();
      await watching;
    }
    if (!isPaused) return;
    await until(options, signal, false);
    if (!signal.aborted) log.info({ service: what }, 'resumed');
  }
}

/** Waits until it is paused, or not; Redis away changes nothing. */
async function until(options: PausableOptions, signal: AbortSignal, wanted: boolean): Promise<void> {
  const { redis, what, pollMs = 1000 } = options;
  while (!signal.aborted) {
    const asked = redis.hexists(key, what).catch(() => undefined);
    const answer = await Promise.race([asked, untilAborted(signal)]);
    if (answer !== undefined && (answer === 1) === wanted) return;
    await sleep(pollMs, signal);
  }
}
