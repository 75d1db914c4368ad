import type { Operation } from '../operation.ts';
import { uriOf } from '../operation.ts';
import { canonical, cborCid, type Json, recordBytes } from '../records.ts';
import { Random } from './random.ts';

/** A signed commit's place in its repo's history, with what it changed. */
export interface Commit {
  did: string;
  rev: string;
  /** rev of the commit before; null for the first. */
  since: string | null;
  commit: string;
  data: string;
  prevData: string | null;
  time: string;
  operations: Operation[];
}

/** One record as it stands now. */
export interface Held {
  uri: string;
  did: string;
  collection: string;
  rkey: string;
  cid: string;
  record: Json;
  /** Perhaps not valid: nothing points at it. */
  odd?: boolean;
}

export type Change =
  | { action: 'create' | 'update'; collection: string; rkey: string; record: Json }
  | { action: 'delete'; collection: string; rkey: string };

const DIGITS = '234567abcdefghijklmnopqrstuvwxyz';

/**
 * A network in one process: accounts, their repos, and the history of commits.
 * Time moves on with every commit; every commit has a rev of its own, above
 * all before it.
 */
export class World {
  readonly random: Random;
  readonly dids: string[];
  readonly commits: Commit[] = [];
  /** Every record that exists now, by URI. */
  readonly held = new Map<string, Held>();
  /** URIs that existed once. */
  readonly gone: string[] = [];
  #last = new Map<string, Commit>();
  #now = Date.UTC(2026, 2, 1);

  constructor(seed: number, accounts: number) {
    this.random = new Random(seed);
    this.dids = Array.from({ length: accounts }, () => this.#did());
  }

  get now(): number {
    return this.#now;
  }

  /** A record key of the present moment. */
  tid(): string {
    this.#now += 1 + this.random.below(40_000);
    return tidOf(this.#now * 1000 + this.random.below(1000));
  }

  /** Those of one collection that exist now and may be pointed at, oldest first. */
  all(collection: string): Held[] {
    return [...this.held.values()].filter((h) => h.collection === collection && !h.odd);
  }

  ownedBy(did: string, collection: string): Held[] {
    return this.all(collection).filter((h) => h.did === did);
  }

  /** Makes one commit. @returns the records created or updated, in order */
  commit(did: string, changes: readonly Change[]): Held[] {
    this.#now += 1 + this.random.below(2_000);
    const time = new Date(this.#now).toISOString();
    const rev = tidOf(this.#now * 1000);
    const before = this.#last.get(did);
    const operations = changes.map((change) => this.#apply(did, change, time));
    const commit: Commit = {
      did,
      rev,
      since: before?.rev ?? null,
      commit: cborCid(recordBytes({ did, rev })),
      data: cborCid(recordBytes({ did, rev, tree: true })),
      prevData: before?.data ?? null,
      time,
      operations,
    };
    this.#last.set(did, commit);
    this.commits.push(commit);
    return operations.filter((op) => op.action !== 'delete').map((op) => this.held.get(uriOf(op))!);
  }

  #apply(did: string, change: Change, time: string): Operation {
    const { collection, rkey } = change;
    const uri = uriOf({ did, collection, rkey });
    if (change.action === 'delete') {
      this.held.delete(uri);
      this.gone.push(uri);
      return { action: 'delete', did, collection, rkey, time };
    }
    const record = canonical(change.record);
    const cid = cborCid(recordBytes(record));
    this.held.set(uri, { uri, did, collection, rkey, cid, record });
    return { action: change.action, did, collection, rkey, cid, record, time };
  }

  #did(): string {
    const id = Array.from({ length: 24 }, () => DIGITS[this.random.below(32)]).join('');
    return `did:plc:${id}`;
  }
}

/** The TID of a time in microseconds. */
function tidOf(micros: number): string {
  let n = BigInt(Math.floor(micros)) << 10n;
  let text = '';
  for (let i = 0; i < 13; i++) {
    text = DIGITS[Number(n & 31n)] + text;
    n >>= 5n;
  }
  return text;
}
