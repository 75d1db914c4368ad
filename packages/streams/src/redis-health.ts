import type { Metrics } from '@headwater/ops';
import { ofEachMaster, type Redis } from './connect.ts';
import { within } from './errors.ts';

/** What matters of one Redis node to those who can't look at it themselves. */
export interface RedisHealth {
  usedBytes: number;
  /** `maxmemory`, 0 where there is none. */
  maxBytes: number;
  /** The append-only file is on, and its last writes succeeded. */
  durable: boolean;
}

/** A Redis that is away must not hold up the scrape. */
const answerMs = 2000;

/**
 * Gauges of Redis itself, looked at when Prometheus scrapes: of a cluster the
 * master with the largest share of its memory in use. Absent while Redis does
 * not answer, since old values would look like good ones.
 */
export function redisMetrics(metrics: Metrics, redis: Redis): void {
  const look = shared(() => within(redisHealth(redis), answerMs));
  const gauge = (name: string, help: string, value: (health: RedisHealth) => number) =>
    metrics.gauge(name, help, [], {
      async collect() {
        // Not reset(): that sets a gauge without labels to 0.
        this.remove();
        const health = await look();
        if (health !== undefined) this.set(value(health));
      },
    });
  gauge('redis_memory_used_bytes', 'Memory that Redis uses.', (health) => health.usedBytes);
  gauge('redis_memory_max_bytes', 'maxmemory of Redis, 0 where there is none.', (health) => health.maxBytes);
  gauge(
    'redis_durable',
    '1 while the append-only file of Redis is on and is written without errors, else 0.',
    (health) => (health.durable ? 1 : 0),
  );
}

/** Reads the answer of INFO. */
export function parseInfo(info: string): RedisHealth {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  return {
    usedBytes: Number(field('used_memory') ?? 0),
    maxBytes: Number(field('maxmemory') ?? 0),
    durable: field('aof_enabled') === '1' && field('aof_last_write_status') === 'ok',
  };
}

/** Of a cluster the master with the largest share of its memory in use. */
export async function redisHealth(redis: Redis): Promise<RedisHealth> {
  const all = await ofEachMaster(redis, async (node) => parseInfo(await node.info()));
  const worst = all.reduce((a, b) => (share(b) > share(a) ? b : a));
  return { ...worst, durable: all.every((health) => health.durable) };
}

function share({ usedBytes, maxBytes }: RedisHealth): number {
  return maxBytes > 0 ? usedBytes / maxBytes : 0;
}

/** One look for all gauges of a scrape. */
function shared<T>(look: () => Promise<T>): () => Promise<T> {
  let last: { at: number; answer: Promise<T> } | undefined;
  return () => {
    if (last === undefined || Date.now() - last.at > 1000) last = { at: Date.now(), answer: look() };
    return last.answer;
  };
}
