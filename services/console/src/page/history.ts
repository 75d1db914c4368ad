import type { Redis } from '@headwater/streams';
import type { Overview } from './overview.ts';

/** The figures of the plots at one moment; null where they could not be looked at. */
export interface Sample {
  /** Milliseconds since 1970. */
  at: number;
  /** Age of the last live event of the relay that is furthest behind, in seconds. */
  lag: number | null;
  /** Entries by stream, those put off too. */
  length: Record<string, number>;
  /** Repos that are done with: complete, unavailable or failed. */
  done: number | null;
  dead: number | null;
  redis: number | null;
}

/** One hour of samples, ten seconds apart. */
export const everyMs = 10_000;
const most = 360;
const key = 'console:samples';
const turn = 'console:sampling';

/** The last hour in Redis: it outlives a restart, and several consoles share it. */
export class History {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Adds what was looked at, unless another console has just done so. */
  async add(overview: Overview): Promise<void> {
    const mine = await this.#redis.set(turn, '1', 'PX', everyMs - 500, 'NX');
    if (mine === null) return;
    await this.#redis.rpush(key, JSON.stringify(sampleOf(overview)));
    await this.#redis.ltrim(key, -most, -1);
    await this.#redis.expire(key, 86_400);
  }

  /** The samples of the last hour, oldest first. */
  async read(): Promise<Sample[]> {
    const since = Date.now() - most * everyMs;
    const lines = await this.#redis.lrange(key, 0, -1);
    return lines.map((line) => JSON.parse(line) as Sample).filter(({ at }) => at >= since);
  }
}

function sampleOf({ at, live, streams, repos, dead, redis }: Overview): Sample {
  const lags = (live ?? []).flatMap(({ feed, lagMs }) =>
    feed === 'firehose' && lagMs !== null ? [lagMs / 1000] : [],
  );
  return {
    at: Date.parse(at),
    lag: lags.length > 0 ? Math.round(Math.max(...lags)) : null,
    length: Object.fromEntries(
      (streams ?? []).map(({ stream, length, parked }) => [stream, length + parked]),
    ),
    done: repos ? finished(repos.byState) : null,
    dead: dead?.reduce((sum, { count }) => sum + count, 0) ?? null,
    redis: redis?.usedBytes ?? null,
  };
}

/** Repos that nothing more is to be done for. */
export function finished(byState: Record<string, number>): number {
  return (byState['complete'] ?? 0) + (byState['unavailable'] ?? 0) + (byState['failed'] ?? 0);
}
