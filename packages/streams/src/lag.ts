import type { Redis } from './connect.ts';
import { keysOf } from './keys.ts';
import { lagScript } from './scripts/operators.ts';

/** How far a group is behind on a stream, at one moment. */
export interface Lag {
  /** Entries in the stream: not yet read, and read but not ended. */
  length: number;
  /** Redis memory that the stream takes, estimated from samples. */
  bytes: number;
  /** Entries not yet delivered to the group. `unknown` is not zero. */
  lag: number | 'unknown';
  /** Entries delivered and not ended. */
  pending: number;
  /** Age of the oldest pending entry since it was appended; null when none is pending. */
  oldestPendingMs: number | null;
  /** Entries out of the stream until a time. */
  parked: number;
  /** Until the first parked entry comes back; null when none is parked. */
  nextWakeMs: number | null;
  /** Letters in the stream's dead-letter stream. */
  dead: number;
  consumers: number;
  /** All groups on the stream. */
  groups: number;
  /** Is there such a group? Without it nothing has been delivered yet. */
  exists: boolean;
}

/** Unread entries counted one by one where Redis can't say. */
const countable = 1000;

type Look = [
  now: number,
  length: number,
  bytes: number,
  parked: number,
  due: string,
  dead: number,
  groups: number,
  lag?: number,
  pending?: number,
  oldest?: string,
  consumers?: number,
];

/**
 * Looks at a stream and a group of it, in one step.
 *
 * Redis gives no lag where unread entries were deleted from the stream; up to
 * 1,000 are then counted, above that the lag is `unknown`.
 */
export async function lagOf(redis: Redis, stream: string, group: string): Promise<Lag> {
  const keys = keysOf(redis, stream);
  const answer = await lagScript.run(
    redis,
    [keys.stream, keys.later, keys.dead],
    [group, 100, countable + 1],
  );
  const [now, length, bytes, parked, due, dead, groups, lag, pending = 0, oldest, consumers = 0] =
    answer as Look;
  const exists = lag !== undefined;
  return {
    length,
    bytes,
    lag: exists ? (lag < 0 ? 'unknown' : lag) : length,
    pending,
    oldestPendingMs: oldest ? Math.max(0, now - Number.parseInt(oldest, 10)) : null,
    parked,
    nextWakeMs: due ? Math.max(0, Number(due) - now) : null,
    dead,
    consumers,
    groups,
    exists,
  };
}
