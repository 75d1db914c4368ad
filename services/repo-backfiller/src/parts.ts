import {
  BACKFILL_SEQ,
  betweenEvents,
  type FetchPart,
  recordEventCid,
  recordEventEnd,
  recordEventHead,
  recordEventTail,
} from '@headwater/events';
import { JsonBytes, RepoError } from '@headwater/repo';
import type { NewFields } from '@headwater/streams';
import type { Differences, SnapshotRecord } from './compare.ts';

/** What all events of one fetch say alike. */
export interface FetchedRepo {
  did: string;
  rev: string;
  /** CID of the signed commit. */
  commit: string;
  /** CID of the tree's root. */
  data: string;
  /** Names this fetch. */
  fetch: string;
  /** RFC 3339. */
  time: string;
}

export interface PartLimits {
  /** Events in one entry. */
  events: number;
  /** Bytes of JSON in one entry; one large record may go beyond. */
  bytes: number;
  /** Bytes handed to `send` at once. */
  sendBytes: number;
}

/**
 * Entries of the output stream: mostly a whole repo in one, so that repeated likes of it meet in one transaction; small
 * enough for a batch of the indexer.
 */
export const partLimits: PartLimits = { events: 1000, bytes: 256 * 1024, sendBytes: 512 * 1024 };

export interface PartsOptions {
  repo: FetchedRepo;
  limits: PartLimits;
  /** Appends entries, in order; waits while the stream is full. */
  send(entries: NewFields[]): Promise<void>;
  /** A record that can't be said in lexicon JSON: it is left out. */
  onUnusable(path: string, error: RepoError): void;
}

/** Buffers kept for the next repos. */
const maxSpare = 16;
const spare: JsonBytes[] = [];

/**
 * Packs the differences of one repo into the entries of `firehose_backfill`:
 * parts in order, each with its number on its first event, the last one
 * ending with the `repo` event that says how many there were. Records go from
 * CBOR to the bytes of their entry, without a text in between. Holds no more
 * than `sendBytes` and one part.
 */
export class Parts implements Differences {
  readonly #options: PartsOptions;
  #part = 0;
  #fresh = false;
  /** The part in the making: a list of events without its end. */
  #json = spare.pop() ?? new JsonBytes();
  #events = 0;
  #head = { type: '', collection: '', text: Buffer.alloc(0) };
  #ready: NewFields[] = [];
  #readyBytes = 0;
  /** Events by type, without the final one. */
  readonly counts = { create: 0, update: 0, delete: 0 };

  constructor(options: PartsOptions) {
    this.#options = options;
  }

  /** Parts made so far, the unfinished one included. */
  get parts(): number {
    return this.#part + 1;
  }

  fresh(): void {
    this.#fresh = true;
  }

  write(type: 'create' | 'update', record: SnapshotRecord): Promise<void> | undefined {
    const full = this.#makeRoom();
    const json = this.#json;
    const before = json.length;
    try {
      json.ascii(this.#events === 0 ? '[' : betweenEvents);
      json.raw(this.#headOf(type, record.collection));
      record.writeRkey(json);
      json.ascii(recordEventCid);
      record.writeCid(json);
      json.ascii(recordEventTail(this.#first()));
      record.writeJson(json);
      json.ascii(recordEventEnd);
    } catch (error) {
      if (!(error instanceof RepoError)) throw error;
      json.length = before;
      this.#options.onUnusable(record.path, error);
      // Its older version is not in the repo any more.
      if (type === 'update') this.#delete(record.path);
      return full;
    }
    this.counts[type] += 1;
    this.#events += 1;
    return full;
  }

  delete(path: string): Promise<void> | undefined {
    const full = this.#makeRoom();
    this.#delete(path);
    return full;
  }

  #delete(path: string): void {
    const slash = path.indexOf('/');
    this.counts.delete += 1;
    this.#add(this.#plain('delete', { collection: path.slice(0, slash), rkey: path.slice(slash + 1) }));
  }

  /** Says that the account is active, as of the time of the fetch. */
  showAccount(): Promise<void> | undefined {
    const { time, did } = this.#options.repo;
    const full = this.#makeRoom();
    const event = { type: 'account', seq: BACKFILL_SEQ, time, did, active: true };
    this.#add(JSON.stringify({ ...event, ...this.#first() }));
    return full;
  }

  /** Ends the last part and sends what is left. */
  async finish(): Promise<void> {
    const { data } = this.#options.repo;
    this.#add(this.#plain('repo', { parts: this.parts, data }));
    this.#cut();
    if (spare.length < maxSpare) spare.push(this.#json);
    await this.#flush();
  }

  /** Records come in the order of their collections. */
  #headOf(type: 'create' | 'update', collection: string): Buffer {
    if (this.#head.type !== type || this.#head.collection !== collection) {
      const { time, did, commit, rev } = this.#options.repo;
      const head = recordEventHead({ type, seq: BACKFILL_SEQ, time, did, commit, rev, collection });
      this.#head = { type, collection, text: Buffer.from(head) };
    }
    return this.#head.text;
  }

  #plain(type: 'delete' | 'repo', rest: object): string {
    const { time, did, commit, rev } = this.#options.repo;
    return JSON.stringify({ type, seq: BACKFILL_SEQ, time, did, commit, rev, ...rest, ...this.#first() });
  }

  #first(): FetchPart | undefined {
    if (this.#events > 0) return undefined;
    const { fetch } = this.#options.repo;
    return { fetch, part: this.#part, ...(this.#fresh && { fresh: true }) };
  }

  /** Cuts a part that is full before the next event is added: the last one must have room for its end. */
  #makeRoom(): Promise<void> | undefined {
    const { events, bytes, sendBytes } = this.#options.limits;
    if (this.#events < events && this.#json.length < bytes) return undefined;
    this.#cut();
    this.#part += 1;
    return this.#readyBytes >= sendBytes ? this.#flush() : undefined;
  }

  #add(event: string): void {
    this.#json.utf8(`${this.#events === 0 ? '[' : betweenEvents}${event}`);
    this.#events += 1;
  }

  #cut(): void {
    this.#json.ascii(']');
    const list = this.#json.takeBytes();
    this.#ready.push(this.#events === 1 ? { event: list.subarray(1, -1) } : { events: list });
    this.#readyBytes += list.length;
    this.#events = 0;
  }

  async #flush(): Promise<void> {
    const entries = this.#ready;
    this.#ready = [];
    this.#readyBytes = 0;
    await this.#options.send(entries);
  }
}
