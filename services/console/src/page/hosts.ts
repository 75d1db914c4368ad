import type { Redis } from '@headwater/streams';

/** A PDS host that is left alone for a while. */
export interface HostView {
  host: string;
  untilMs: number;
  /** Failures and refusals since the last success, and failures in a row. */
  strikes: number;
  failures: number;
}

const most = 50;

/** Hosts that are parked, those that come back last first. */
export async function parkedHosts(redis: Redis): Promise<{ parked: number; shown: HostView[] }> {
  const [now, parked] = [Date.now(), 'repo_backfill:parked'];
  const [count, flat] = await Promise.all([
    redis.zcount(parked, now, '+inf'),
    redis.zrevrangebyscore(parked, '+inf', now, 'WITHSCORES', 'LIMIT', 0, most),
  ]);
  const names = flat.filter((_, i) => i % 2 === 0);
  const shown = await Promise.all(
    names.map(async (host, i): Promise<HostView> => {
      const [strikes, failures] = await redis.hmget(`repo_backfill:host:${host}`, 'strikes', 'failures');
      const untilMs = Number(flat[2 * i + 1]) - now;
      return { host, untilMs, strikes: Number(strikes ?? 0), failures: Number(failures ?? 0) };
    }),
  );
  return { parked: count, shown };
}
