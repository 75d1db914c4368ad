import { type Pause, pausedHosts, type Redis } from '@headwater/streams';

/** A PDS host that fails, is left alone for a while, or is paused. */
export interface HostView {
  host: string;
  /** Until it is asked again; null where it may be. */
  parkedMs: number | null;
  /** Failures and refusals since the last success, and failures in a row. */
  strikes: number;
  failures: number;
  /** The last failure, and how long ago it was. */
  error: string | null;
  failedMs: number | null;
  pause: Pause | null;
}

export interface Hosts {
  parked: number;
  failing: number;
  paused: number;
  shown: HostView[];
}

const most = 50;

/** Hosts with something to be said about: paused ones, those that come back last, then those that failed last. */
export async function hostsOf(redis: Redis): Promise<Hosts> {
  const now = Date.now();
  const [pauses, parked, failing] = await Promise.all([
    pausedHosts(redis),
    newest(redis, 'repo_backfill:parked', now),
    newest(redis, 'repo_backfill:failing', 0),
  ]);
  const names = new Set([...Object.keys(pauses), ...parked.scores.keys(), ...failing.scores.keys()]);
  const shown = await Promise.all(
    [...names].slice(0, most).map(async (host): Promise<HostView> => {
      const lane = `repo_backfill:host:${host}`;
      const [strikes, failures, error] = await redis.hmget(lane, 'strikes', 'failures', 'error');
      const [until, failedAt] = [parked.scores.get(host), failing.scores.get(host)];
      return {
        host,
        parkedMs: until === undefined ? null : until - now,
        strikes: Number(strikes ?? 0),
        failures: Number(failures ?? 0),
        error: error || null,
        failedMs: failedAt === undefined ? null : now - failedAt,
        pause: pauses[host] ?? null,
      };
    }),
  );
  const paused = Object.keys(pauses).length;
  return { parked: parked.count, failing: failing.count, paused, shown };
}

/** The highest scores of a sorted set, from `least` on. */
async function newest(redis: Redis, key: string, least: number) {
  const [count, flat] = await Promise.all([
    redis.zcount(key, least, '+inf'),
    redis.zrevrangebyscore(key, '+inf', least, 'WITHSCORES', 'LIMIT', 0, most),
  ]);
  const scores = new Map<string, number>();
  for (let i = 0; i < flat.length; i += 2) scores.set(flat[i]!, Number(flat[i + 1]));
  return { count, scores };
}
