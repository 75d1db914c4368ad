import { isCluster, type Redis } from './connect.ts';

/** Every key that belongs to one stream. On a cluster all of them share the stream's slot. */
export interface StreamKeys {
  /** The stream itself. */
  stream: string;
  /** A second stream of the same entries, read before the first. */
  urgent: string;
  /** Stream of the entries that were set aside for good. */
  dead: string;
  /** Sorted set of the entries that are to come back at a time (its score, in ms). */
  later: string;
  /** Hash of the tries of pending entries: `GROUP/ID` → `COUNT FIRST_MS TOKEN`. */
  attempts: string;
  /** How far a host was read. */
  cursor(host: string): string;
  /** A further key of the stream about one host: `firehose_live:time:HOST`. */
  beside(name: string, host: string): string;
  /** Hash of the whole lists that are through and not yet compared with what is stored: `HOST BEGUN_MS` → JSON. */
  looked: string;
  /** The last batch of a producer, so that a batch sent twice is written once. */
  producer(id: string): string;
}

const urgentSuffix = ':urgent';

/**
 * The keys of a stream: `firehose_live:cursor:HOST`, on Redis Cluster
 * `{firehose_live}:cursor:HOST` so that they can be written together. A
 * stream and its urgent twin share one dead-letter stream.
 */
export function keysOf(redis: Redis, stream: string): StreamKeys {
  const base = stream.endsWith(urgentSuffix) ? stream.slice(0, -urgentSuffix.length) : stream;
  const name = base.replace(/^\{(.*)\}$/, '$1');
  const tag = isCluster(redis) ? `{${name}}` : name;
  const urgent = tag + urgentSuffix;
  const self = base === stream ? tag : urgent;
  return {
    stream: base === stream ? name : urgent,
    urgent,
    dead: `${tag}:dead`,
    later: `${self}:later`,
    attempts: `${self}:attempts`,
    cursor: (host) => `${tag}:cursor:${host}`,
    beside: (name, host) => `${tag}:${name}:${host}`,
    looked: `${tag}:looked`,
    producer: (id) => `${self}:producer:${id}`,
  };
}

/** How far `host` was read into the stream, as the network gave it; null when never. */
export function readCursor(redis: Redis, stream: string, host: string): Promise<string | null> {
  return redis.get(keysOf(redis, stream).cursor(host));
}

/**
 * Sets a cursor by itself: for operators and for a finished enumeration.
 * Wherever it covers entries, hand it to `Producer.append` instead.
 */
export async function writeCursor(redis: Redis, stream: string, host: string, value: string): Promise<void> {
  await redis.set(keysOf(redis, stream).cursor(host), value);
}
