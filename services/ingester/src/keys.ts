import { keysOf, type Redis } from '@headwater/streams';

/** The ingester's own keys beside a stream, for one host; all in the stream's slot. */
export interface HostKeys {
  /** How far the host is read. */
  cursor: string;
  /** The time up to which its stream is read, as RFC 3339. */
  time: string;
  /** Who reads it. */
  lease: string;
  /** The last cursor before the end of an enumeration: where the next look goes on. */
  resume: string;
  /** Set by whoever finds that events were missed: the next look starts from the beginning. */
  relist: string;
  /** When the present look was begun, in ms: only while one from the start is under way, because events were missed. */
  look: string;
  /** Of a relay: sorted set of the hosts that it knows, by the time when each is to be listed (ms). */
  hosts: string;
  /** List of ranges that the enumeration had to skip, as JSON. */
  skipped: string;
}

/** @param host the name as in the settings (hostKey) */
export function hostKeys(redis: Redis, stream: string, host: string): HostKeys {
  const { cursor, beside } = keysOf(redis, stream);
  return {
    cursor: cursor(host),
    time: beside('time', host),
    lease: beside('lease', host),
    resume: beside('resume', host),
    relist: beside('relist', host),
    look: beside('look', host),
    hosts: beside('hosts', host),
    skipped: beside('skipped', host),
  };
}
