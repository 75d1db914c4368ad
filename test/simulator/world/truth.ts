import type { Json } from '../protocol/cbor.ts';
import { cidOf, cidText } from '../protocol/cid.ts';
import type { Account, Status } from './account.ts';
import { Counter, type TrueCounts } from './counts.ts';
import type { Labeler, UnsignedLabel } from './labeler.ts';
import { jsonOf } from './repo.ts';
import type { World } from './world.ts';

/** A row that table `record` has to have. */
export interface TrueRecord {
  uri: string;
  cid: string;
  did: string;
  rev: string;
  json: Json;
}

/**
 * Which rows of an account the tables have to hold in the end.
 * - `all`: those of its repo, and no others
 * - `none`: none
 * - `some`: any of its repo's: it was hidden before all of it could be fetched, or it can't be fetched at all
 */
export type Rows = 'all' | 'none' | 'some';

export interface TrueActor {
  did: string;
  handle: string;
  status: Status;
  active: boolean;
  rev: string;
  host: string;
  rows: Rows;
}

/** Which collections the tables keep: the default of INDEXER_COLLECTIONS. */
export function isKept(path: string): boolean {
  const collection = path.slice(0, path.indexOf('/'));
  return collection.startsWith('app.bsky.') || KEPT.has(collection);
}

const KEPT = new Set(['chat.bsky.actor.declaration', 'com.germnetwork.declaration']);

/** Decides which rows of an account there have to be. */
export interface TruthRules {
  rowsOf(account: Account): Rows;
  labelers: readonly Labeler[];
}

/** What the tables have to say when everything has arrived. Computed from the repos, at the moment of the call. */
export class Truth {
  readonly #world: World;
  readonly #rules: TruthRules;

  constructor(world: World, rules: TruthRules) {
    this.#world = world;
    this.#rules = rules;
  }

  *actors(): Generator<TrueActor> {
    for (const account of this.#world.accounts) {
      const { did, handle, status, active, rev, host } = account;
      yield { did, handle, status, active, rev, host: host.url, rows: this.#rules.rowsOf(account) };
    }
  }

  /** Rows of every account whose `rows` are as given; those of one repo together, sorted by URI. */
  *records(rows: Rows = 'all'): Generator<TrueRecord> {
    for (const account of this.#world.accounts) {
      if (this.#rules.rowsOf(account) === rows) yield* this.recordsOf(account);
    }
  }

  *recordsOf(account: Account): Generator<TrueRecord> {
    const { did, rev, repo } = account;
    for (const path of [...repo.records.keys()].sort()) {
      const fate = this.#world.odd.get(`at://${did}/${path}`);
      if (!isKept(path) || (fate !== undefined && fate !== 'kept')) continue;
      const block = repo.records.get(path)!;
      yield { uri: `at://${did}/${path}`, cid: cidText(cidOf(block)), did, rev, json: jsonOf(block) };
    }
  }

  /** URIs of odd records of which a row may be there or not. */
  tolerated(): Set<string> {
    return new Set([...this.#world.odd].filter(([, fate]) => fate === 'either').map(([uri]) => uri));
  }

  /** The newest statement of every labeler about each subject and value; negated ones included. */
  labels(): UnsignedLabel[] {
    return this.#rules.labelers.flatMap(({ held }) => [...held.values()]);
  }

  /** Posts whose thread gate went with its account. */
  *#gatesOfTheGone(): Generator<string> {
    for (const account of this.#world.accounts) {
      if (this.#rules.rowsOf(account) !== 'none') continue;
      for (const path of account.repo.records.keys()) {
        const [collection, rkey] = path.split('/');
        if (collection === 'app.bsky.feed.threadgate') yield `at://${account.did}/app.bsky.feed.post/${rkey}`;
      }
    }
  }

  /** Counts over the rows that have to be there. */
  counts(): TrueCounts {
    const counter = new Counter();
    for (const record of this.records()) counter.add(record);
    for (const record of this.records('some')) counter.doubt(record);
    for (const post of this.#world.ungated) counter.gate(post);
    for (const post of this.#gatesOfTheGone()) counter.gate(post);
    for (const uri of this.tolerated()) counter.doubtAccount(uri.split('/')[2]!);
    return counter.result;
  }
}
