import { backoff, sleep } from '@headwater/ops';
import { duplicate, type Redis } from './connect.ts';
import type { Endings } from './endings.ts';
import { replyCode } from './errors.ts';
import type { Hand, Held } from './hand.ts';
import { keysOf } from './keys.ts';
import type { Settings } from './options.ts';
import { claimScript, groupScript, touchScript } from './scripts/group.ts';
import { reasonOf } from './settler.ts';
import type { ReadFields } from './types.ts';

type RawEntry = [id: Buffer, fields: Buffer[] | null];
/** What happened to an entry before this consumer got it. */
type Past = { deliveries: number; attempts: number; first?: number };
type ClaimedEntry = [id: Buffer, fields: Buffer[], deliveries: number, attempts: Buffer | null];

/** How often entries without an owner are looked for; a read waits no longer. */
const claimEveryMs = 1000;
/** Entries of one read, whatever there is room for. */
const maxRead = 200;
/** Calls of one look for entries without an owner; the next one goes on where it stopped. */
const maxClaims = 50;
/** Idle time of entries that were handed back: above anybody's limit. */
const handedBackMs = 86_400_000;
/** Above so many deliveries an entry is written by itself: consumers seem to die of it. */
const suspectDeliveries = 3;

/**
 * The one reader of a consumer: takes over idle entries, then reads new ones,
 * the most urgent stream first, never more than fit in hand.
 */
export class Reader<T> {
  readonly #settings: Settings<T>;
  readonly #hand: Hand<T>;
  readonly #endings: Endings<T>;
  readonly #accept: (entry: Held<T>) => void;
  readonly #blocking: Redis;
  readonly #cursors = new Map<string, string>();
  #claimAt = 0;
  /** Streams with entries that failed before; such ones may come as new, out of the parked ones. */
  readonly #tried = new Set<string>();
  /** A reply may have been lost or the group be gone: what Redis thinks we hold must be compared. */
  #recover = true;

  constructor(settings: Settings<T>, hand: Hand<T>, endings: Endings<T>, accept: (entry: Held<T>) => void) {
    this.#settings = settings;
    this.#hand = hand;
    this.#endings = endings;
    this.#accept = accept;
    this.#blocking = duplicate(settings.redis);
  }

  /** Reads until the signal aborts; errors are waited out. */
  async run(signal: AbortSignal): Promise<void> {
    const { redis } = this.#settings;
    const cut = () => {
      this.#recover = true;
    };
    for (const connection of [redis, this.#blocking]) connection.on('close', cut);
    signal.addEventListener('abort', () => this.#blocking.disconnect(), { once: true });
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#hand.untilRoom(signal);
        if (!signal.aborted) await this.#round();
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        failures = await this.#heal(error, failures + 1, signal);
      }
    }
    redis.off('close', cut);
    this.#blocking.disconnect();
  }

  async #round(): Promise<void> {
    if (this.#recover) await this.#giveBackUnseen();
    if (Date.now() >= this.#claimAt) await this.#claim();
    if (this.#hand.room() > 0) await this.#read();
  }

  async #heal(error: unknown, failures: number, signal: AbortSignal): Promise<number> {
    const code = replyCode(error);
    this.#recover = true;
    if ((code === 'NOGROUP' || code === 'UNBLOCKED') && failures < 3) return failures;
    this.#settings.log.warn({ err: error, failures }, 'reading failed; trying again');
    await sleep(backoff(failures, { baseMs: 50, maxMs: 5000 }), signal);
    return failures;
  }

  /** The groups begin at the streams' start, so that nothing written before them is missed. */
  async #createGroups(): Promise<void> {
    const { redis, streams, group } = this.#settings;
    for (const stream of streams) {
      const created = await groupScript.run(redis, [stream], [group]);
      if (created === 1) this.#settings.log.info({ stream, group }, 'created the consumer group');
    }
  }

  /** What this consumer's name holds but this process never saw is marked idle, to be claimed. */
  async #giveBackUnseen(): Promise<void> {
    this.#recover = false;
    await this.#createGroups();
    await giveBack(this.#settings, { died: true, which: (stream, id) => !this.#hand.has(stream, id) });
    this.#claimAt = 0;
  }

  async #claim(): Promise<void> {
    this.#claimAt = Date.now() + claimEveryMs;
    for (const stream of this.#settings.streams) {
      let start = this.#cursors.get(stream) ?? '0-0';
      let calls = 0;
      do {
        const room = this.#hand.room();
        if (room === 0) {
          this.#claimAt = 0;
          return;
        }
        start = await this.#claimPart(stream, start, Math.min(room, 100));
        this.#cursors.set(stream, start);
      } while (start !== '0-0' && ++calls < maxClaims);
    }
  }

  async #claimPart(stream: string, start: string, count: number): Promise<string> {
    const { redis, group, consumer, claimIdleMs } = this.#settings;
    const { attempts, later } = keysOf(redis, stream);
    const args = [group, consumer, claimIdleMs, start, count];
    const answer = await claimScript.runBuffer(redis, [stream, attempts, later], args);
    const [next, entries, gone, tried] = answer as [Buffer, ClaimedEntry[], number, number];
    if (tried > 0) this.#tried.add(stream);
    else this.#tried.delete(stream);
    for (const [bytes, fields, deliveries, tries] of entries) {
      const id = bytes.toString();
      const past = { deliveries, ...parseTries(tries?.toString()) };
      if (!this.#hand.has(stream, id)) this.#take(stream, id, fields, past);
    }
    if (gone > 0) this.#settings.metrics.ended(stream, 'lost', 'deleted', gone);
    return next.toString();
  }

  async #read(): Promise<void> {
    const { streams } = this.#settings;
    if (streams.length > 1) {
      let found = 0;
      for (const stream of streams) {
        if (this.#hand.room() > 0) found += await this.#readFrom([stream]);
      }
      if (found > 0) return;
    }
    await this.#readFrom(streams, Math.max(1, this.#claimAt - Date.now()));
  }

  async #readFrom(streams: readonly string[], blockMs?: number): Promise<number> {
    const { group, consumer } = this.#settings;
    const count = Math.max(1, Math.floor(Math.min(this.#hand.room(), maxRead) / streams.length));
    const block = blockMs === undefined ? [] : ['BLOCK', blockMs];
    const args = ['GROUP', group, consumer, 'COUNT', count, ...block, 'STREAMS', ...streams];
    const answer = (await this.#blocking.callBuffer('XREADGROUP', ...args, ...streams.map(() => '>'))) as
      | [Buffer, RawEntry[]][]
      | null;
    let found = 0;
    for (const [name, entries] of answer ?? []) {
      const stream = name.toString();
      found += entries.length;
      const ids = entries.map(([id]) => id.toString());
      const tries = this.#tried.has(stream) ? await this.#triesOf(stream, ids) : [];
      for (const [i, [, fields]] of entries.entries()) {
        if (fields) this.#take(stream, ids[i]!, fields, { deliveries: 1, ...parseTries(tries[i]) });
      }
    }
    return found;
  }

  #triesOf(stream: string, ids: readonly string[]): Promise<(string | null)[]> {
    const { redis, group } = this.#settings;
    return redis.hmget(keysOf(redis, stream).attempts, ...ids.map((id) => `${group}/${id}`));
  }

  /** Decodes an entry and puts it in hand; an unreadable one goes to the dead letters. */
  #take(stream: string, id: string, flat: readonly Buffer[], past: Past): void {
    const { decode, key, size, count, metrics } = this.#settings;
    const { fields, bytes } = unflatten(flat);
    const suspect = past.deliveries > suspectDeliveries;
    const alone = suspect || past.attempts > 0;
    const entry = {
      stream,
      id,
      bytes,
      count: 1,
      key: '',
      alone,
      suspect,
      writing: false,
      ...past,
    } as Held<T>;
    metrics.read(stream, past.deliveries > 1 ? 'claimed' : 'new', 1, bytes);
    try {
      const item = decode(fields, id);
      Object.assign(entry, { item, key: key?.(item) ?? '', count: count?.(item) ?? 1 });
      if (size) entry.bytes = size(item);
    } catch (error) {
      entry.writing = true;
      this.#hand.add(entry);
      void this.#endings.bury(entry, reasonOf(error, 'undecodable'), error);
      return;
    }
    this.#hand.add(entry);
    this.#accept(entry);
  }
}

/**
 * Marks entries of this consumer as idle, so that whoever looks next takes
 * them over. Those of a consumer that `died` remember how often they were
 * delivered; for others it begins again.
 */
export async function giveBack<T>(
  settings: Settings<T>,
  { died, which }: { died: boolean; which: (stream: string, id: string) => boolean },
): Promise<number> {
  const { redis, streams, group, consumer } = settings;
  const how = [group, consumer, handedBackMs, died ? -1 : 1];
  let given = 0;
  for (const stream of streams) {
    const keys = [stream, keysOf(redis, stream).attempts];
    for (let start = '-'; ; ) {
      const page = (await redis.call('XPENDING', stream, group, start, '+', 1000, consumer)) as [string][];
      const ids = page.map(([id]) => id).filter((id) => which(stream, id));
      if (ids.length > 0) await touchScript.run(redis, keys, [...how, ...ids]);
      given += ids.length;
      if (page.length < 1000) break;
      start = `(${page.at(-1)![0]}`;
    }
  }
  return given;
}

/** `COUNT FIRST_MS TOKEN`, as the hash of failed tries has it. */
function parseTries(text: string | null | undefined): { attempts: number; first?: number } {
  if (!text) return { attempts: 0 };
  const [attempts, first] = text.split(' ').map(Number) as [number, number];
  return { attempts, first };
}

function unflatten(flat: readonly Buffer[]): { fields: ReadFields; bytes: number } {
  const fields: ReadFields = {};
  let bytes = 0;
  for (let i = 0; i + 1 < flat.length; i += 2) {
    fields[flat[i]!.toString()] = byItself(flat[i + 1]!);
    bytes += flat[i]!.length + flat[i + 1]!.length;
  }
  return { fields, bytes };
}

/** As a part of what the socket read, a small value would keep all of that in memory, though it counts for itself alone. */
function byItself(value: Buffer): Buffer {
  if (value.buffer.byteLength <= 2 * value.length) return value;
  const own = Buffer.allocUnsafeSlow(value.length);
  value.copy(own);
  return own;
}
