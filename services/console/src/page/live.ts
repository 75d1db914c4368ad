import { keysOf, type Redis } from '@headwater/streams';
import { hostKey } from '@headwater/xrpc';
import type { ConsoleSettings } from '../open.ts';

/** How far one relay or labeler is followed. */
export interface LiveSource {
  feed: 'firehose' | 'labels';
  stream: 'firehose_live' | 'label_live';
  host: string;
  cursor: string | null;
  /** Time of the last event that is durable. */
  time: string | null;
  lagMs: number | null;
  /** How much longer the relay keeps what comes next, if it keeps as much as is assumed. */
  headroomMs: number | null;
  /** A copy of the ingester follows it. */
  followed: boolean;
}

/** Every relay and labeler of the settings. */
export function liveSources(redis: Redis, settings: ConsoleSettings): Promise<LiveSource[]> {
  const { relayHosts, labelerHosts, replayWindowHours } = settings;
  const windowMs = replayWindowHours * 3_600_000;
  return Promise.all([
    ...relayHosts.map((host) => source(redis, 'firehose', hostKey(host), windowMs)),
    ...labelerHosts.map((host) => source(redis, 'labels', hostKey(host), null)),
  ]);
}

async function source(
  redis: Redis,
  feed: LiveSource['feed'],
  host: string,
  windowMs: number | null,
): Promise<LiveSource> {
  const stream = feed === 'firehose' ? 'firehose_live' : 'label_live';
  const keys = keysOf(redis, stream);
  const [cursor, time, held] = await Promise.all([
    redis.get(keys.cursor(host)),
    redis.get(keys.beside('time', host)),
    redis.exists(keys.beside('lease', host)),
  ]);
  const lagMs = time === null ? null : Math.max(0, Date.now() - Date.parse(time));
  // Labelers keep every label: there is no end to fall off.
  const headroomMs = windowMs === null || lagMs === null ? null : windowMs - lagMs;
  return { feed, stream, host, cursor, time, lagMs, headroomMs, followed: held === 1 };
}
