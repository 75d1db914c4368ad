import type { Redis } from './connect.ts';
import { keysOf } from './keys.ts';
import { requeueScript } from './scripts/operators.ts';
import type { Fields } from './types.ts';

/** An entry that was set aside for good, with why. */
export interface DeadLetter {
  id: string;
  /** The entry as it was in its stream. */
  fields: Fields;
  reason: string;
  /** Name and message of the last error. */
  error: string;
  attempts: number;
  /** Times of the first and the last failed try, ISO 8601. */
  first: string;
  last: string;
  source: string;
  sourceId: string;
  group: string;
}

export interface ListOptions {
  /** Begin after this letter. */
  after?: string;
  count?: number;
  /** Letters with this reason alone. */
  reason?: string;
}

/** The fields that a letter has behind the entry's own, in this order. */
const marks = ['reason', 'error', 'attempts', 'first', 'last', 'source', 'source_id', 'group'] as const;

/** Letters read at once. */
const page = 200;

/**
 * A page of letters, oldest first.
 *
 * @returns the letters, and where the next page begins, undefined after the last
 */
async function list(
  redis: Redis,
  stream: string,
  { after, count = 100, reason }: ListOptions = {},
): Promise<{ letters: DeadLetter[]; next: string | undefined }> {
  const letters: DeadLetter[] = [];
  const { dead } = keysOf(redis, stream);
  for (let at = after; ; ) {
    const entries = await redis.xrange(dead, at ? `(${at}` : '-', '+', 'COUNT', page);
    for (const [id, flat] of entries) {
      at = id;
      const letter = read(id, flat);
      if (reason !== undefined && letter.reason !== reason) continue;
      letters.push(letter);
      if (letters.length === count) return { letters, next: id };
    }
    if (entries.length < page) return { letters, next: undefined };
  }
}

/** One letter; undefined when there is none with this id. */
async function show(redis: Redis, stream: string, id: string): Promise<DeadLetter | undefined> {
  const [entry] = await redis.xrange(keysOf(redis, stream).dead, id, id);
  return entry && read(...entry);
}

/**
 * Puts letters back at the end of the streams that they came from, with their
 * tries forgotten; each moves in one step.
 *
 * @returns how many there were
 */
async function requeue(redis: Redis, stream: string, ids: readonly string[]): Promise<number> {
  const { dead, stream: base, urgent } = keysOf(redis, stream);
  let moved = 0;
  for (let at = 0; at < ids.length; at += page) {
    const part = ids.slice(at, at + page);
    moved += (await requeueScript.run(redis, [dead, base, urgent], [marks.length, ...part])) as number;
  }
  return moved;
}

/** Deletes letters for good. @returns how many there were */
async function discard(redis: Redis, stream: string, ids: readonly string[]): Promise<number> {
  return ids.length === 0 ? 0 : await redis.xdel(keysOf(redis, stream).dead, ...ids);
}

function read(id: string, flat: string[]): DeadLetter {
  const own = Math.max(0, flat.length - marks.length * 2);
  const pairs = (from: number, to: number) => {
    const fields: Fields = {};
    for (let i = from; i < to; i += 2) fields[flat[i]!] = flat[i + 1]!;
    return fields;
  };
  const mark = pairs(own, flat.length) as Record<(typeof marks)[number], string>;
  const { reason, error, first, last, source, group } = mark;
  const attempts = Number(mark.attempts);
  return {
    id,
    fields: pairs(0, own),
    reason,
    error,
    attempts,
    first,
    last,
    source,
    sourceId: mark.source_id,
    group,
  };
}

/** The dead letters of a stream. */
export const dead = { list, show, requeue, discard };
