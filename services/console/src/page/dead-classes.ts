import { dead, keysOf, type Redis } from '@headwater/streams';
import { letterStreams } from './streams.ts';

/** Dead letters of one stream that were set aside for one reason. */
export interface DeadClass {
  stream: string;
  reason: string;
  count: number;
  newest: string;
  /** A letter's error, as an example. */
  error: string;
  /** Only the first letters of the stream were looked at. */
  partial: boolean;
}

/** Letters looked at, of each stream. */
const most = 5000;

/** All letters, by stream and reason, the most frequent first. */
export async function deadClasses(redis: Redis): Promise<DeadClass[]> {
  const all = await Promise.all(letterStreams.map((stream) => classesOf(redis, stream)));
  return all.flat().sort((a, b) => b.count - a.count);
}

async function classesOf(redis: Redis, stream: string): Promise<DeadClass[]> {
  if ((await redis.exists(keysOf(redis, stream).dead)) === 0) return [];
  const { letters, next } = await dead.list(redis, stream, { count: most });
  return [...Map.groupBy(letters, ({ reason }) => reason)].map(([reason, some]) => {
    const last = some.at(-1)!;
    const { error } = last;
    return { stream, reason, count: some.length, newest: last.last, error, partial: next !== undefined };
  });
}
