import type { Catalog } from '../content/catalog.ts';
import { baseRecords } from '../content/records.ts';
import { cidText } from '../protocol/cid.ts';
import { type Curve, deriveKey, type SigningKey } from '../protocol/keys.ts';
import type { Host } from './host.ts';
import { Repo } from './repo.ts';

export type Status = 'active' | 'deactivated' | 'suspended' | 'takendown' | 'deleted';

/** What listRepos says of a repo. */
export interface Head {
  cid: string;
  rev: string;
}

/** An account of the network: who it is, where it is, what it has written. */
export class Account {
  readonly index: number;
  readonly did: string;
  readonly curve: Curve;
  host: Host;
  handle: string;
  #status: Status = 'active';
  /** Whether its repo could be fetched at some time. */
  wasActive = true;
  /** It does nothing of itself: for accounts with which a test has its own plans. */
  quiet = false;
  /** Its repo can't be read by anybody, and never could. */
  poisoned = false;
  /** How often the signing key has changed. */
  rotations = 0;
  /** rev of the repo as it was when the network began. */
  readonly baseRev: string;
  readonly #isNew: boolean;
  #catalog: Catalog;
  #key: SigningKey | undefined;
  #repo: Repo | undefined;
  #head: Head | undefined;
  #cache: RepoCache;

  constructor(fields: {
    catalog: Catalog;
    cache: RepoCache;
    index: number;
    host: Host;
    curve: Curve;
    baseRev: string;
    /** The account was made after the network began: its repo starts empty. */
    isNew?: boolean;
  }) {
    this.#catalog = fields.catalog;
    this.#cache = fields.cache;
    this.index = fields.index;
    this.host = fields.host;
    this.curve = fields.curve;
    this.baseRev = fields.baseRev;
    this.#isNew = fields.isNew ?? false;
    this.did = fields.catalog.did(fields.index);
    this.handle = `u${fields.index}.test`;
  }

  get status(): Status {
    return this.#status;
  }

  set status(status: Status) {
    this.#status = status;
    if (status === 'active') this.wasActive = true;
  }

  get active(): boolean {
    return this.#status === 'active';
  }

  /** The key that signs the repo's commits and stands in the DID document. */
  get key(): SigningKey {
    this.#key ??= deriveKey(this.curve, `${this.did} ${this.rotations}`);
    return this.#key;
  }

  rotateKey(): void {
    this.rotations++;
    this.#key = undefined;
  }

  /** The repo as it is now; made when it is first asked for, kept only a while unless it changes. */
  get repo(): Repo {
    if (this.#repo) return this.#repo;
    const base = this.#cache.get(this.did, () => this.#makeBase());
    // Remembered, so that a list of heads needs no repo that was made before.
    this.#head ??= { cid: cidText(base.commit.cid), rev: this.baseRev };
    return base;
  }

  /** The repo for a change: it is kept from now on. */
  get changingRepo(): Repo {
    this.#repo ??= this.repo;
    this.#head = undefined;
    return this.#repo;
  }

  /** Whether it has been changed since the network began. */
  get changed(): boolean {
    return this.#repo !== undefined;
  }

  get rev(): string {
    return this.#repo?.commit.rev ?? this.baseRev;
  }

  get head(): Head {
    this.#head ??= { cid: cidText(this.repo.commit.cid), rev: this.rev };
    return this.#head;
  }

  #makeBase(): Repo {
    // Signed by the key of that time.
    const key = deriveKey(this.curve, `${this.did} 0`);
    return Repo.create(
      this.did,
      this.baseRev,
      key,
      this.#isNew ? [] : baseRecords(this.#catalog, this.index),
    );
  }
}

/** Unchanged repos that were asked for lately, bounded by their records. */
export class RepoCache {
  readonly #maxRecords: number;
  #repos = new Map<string, Repo>();
  #records = 0;

  constructor(maxRecords: number) {
    this.#maxRecords = maxRecords;
  }

  get(did: string, make: () => Repo): Repo {
    let repo = this.#repos.get(did);
    if (repo) this.#repos.delete(did);
    else {
      repo = make();
      this.#records += repo.records.size;
    }
    this.#repos.set(did, repo);
    for (const [oldest, old] of this.#repos) {
      if (this.#records <= this.#maxRecords || oldest === did) break;
      this.#repos.delete(oldest);
      this.#records -= old.records.size;
    }
    return repo;
  }
}
