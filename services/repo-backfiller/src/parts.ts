import { BACKFILL_SEQ, type FetchPart, recordEventEncoder } from '@headwater/events';
import { RepoError } from '@headwater/repo';
import type { Fields } from '@headwater/streams';
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
  /** Characters of JSON in one entry; one large record may go beyond. */
  chars: number;
  /** Characters handed to `send` at once. */
  sendChars: number;
}

export interface PartsOptions {
  repo: FetchedRepo;
  limits: PartLimits;
  /** Appends entries, in order; waits while the stream is full. */
  send(entries: Fields[]): Promise<void>;
  /** A record that can't be said in lexicon JSON: it is left out. */
  onUnusable(path: string, error: RepoError): void;
}

/**
 * Packs the differences of one repo into the entries of `firehose_backfill`:
 * parts in order, each with its number on its first event, the last one
 * ending with the `repo` event that says how many there were. Holds no more
 * than `sendChars` and one part.
 */
export class Parts implements Differences {
  readonly #options: PartsOptions;
  readonly #encode: Record<'create' | 'update', ReturnType<typeof recordEventEncoder>>;
  #part = 0;
  #fresh = false;
  #events: string[] = [];
  #chars = 0;
  #ready: Fields[] = [];
  #readyChars = 0;
  /** Events by type, without the final one. */
  readonly counts = { create: 0, update: 0, delete: 0 };

  constructor(options: PartsOptions) {
    this.#options = options;
    const { time, did, commit, rev } = options.repo;
    const encoder = (type: 'create' | 'update') =>
      recordEventEncoder({ type, seq: BACKFILL_SEQ, time, did, commit, rev });
    this.#encode = { create: encoder('create'), update: encoder('update') };
  }

  /** Parts made so far, the unfinished one included. */
  get parts(): number {
    return this.#part + 1;
  }

  fresh(): void {
    this.#fresh = true;
  }

  write(type: 'create' | 'update', record: SnapshotRecord): Promise<void> | undefined {
    let json: string;
    try {
      json = record.json();
    } catch (error) {
      if (!(error instanceof RepoError)) throw error;
      this.#options.onUnusable(record.path, error);
      // Its older version is not in the repo any more.
      return type === 'update' ? this.delete(record.path) : undefined;
    }
    const { collection, rkey, cid } = record;
    const full = this.#makeRoom();
    this.counts[type] += 1;
    this.#add(this.#encode[type]({ collection, rkey, cid, ...this.#first() }, json));
    return full;
  }

  delete(path: string): Promise<void> | undefined {
    const slash = path.indexOf('/');
    const full = this.#makeRoom();
    this.counts.delete += 1;
    this.#add(this.#plain('delete', { collection: path.slice(0, slash), rkey: path.slice(slash + 1) }));
    return full;
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
    await this.#flush();
  }

  #plain(type: 'delete' | 'repo', rest: object): string {
    const { time, did, commit, rev } = this.#options.repo;
    return JSON.stringify({ type, seq: BACKFILL_SEQ, time, did, commit, rev, ...rest, ...this.#first() });
  }

  #first(): FetchPart | undefined {
    if (this.#events.length > 0) return undefined;
    const { fetch } = this.#options.repo;
    return { fetch, part: this.#part, ...(this.#fresh && { fresh: true }) };
  }

  /** Cuts a part that is full before the next event is added: the last one must have room for its end. */
  #makeRoom(): Promise<void> | undefined {
    const { events, chars, sendChars } = this.#options.limits;
    if (this.#events.length < events && this.#chars < chars) return undefined;
    this.#cut();
    this.#part += 1;
    return this.#readyChars >= sendChars ? this.#flush() : undefined;
  }

  #add(event: string): void {
    this.#events.push(event);
    this.#chars += event.length + 1;
  }

  #cut(): void {
    const events = this.#events;
    this.#ready.push(events.length === 1 ? { event: events[0]! } : { events: `[${events.join(',')}]` });
    this.#readyChars += this.#chars;
    this.#events = [];
    this.#chars = 0;
  }

  async #flush(): Promise<void> {
    const entries = this.#ready;
    this.#ready = [];
    this.#readyChars = 0;
    await this.#options.send(entries);
  }
}
