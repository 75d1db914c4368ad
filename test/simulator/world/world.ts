import { Catalog, type CatalogOptions, EPOCH, SPAN } from '../content/catalog.ts';
import { Random } from '../content/random.ts';
import type { Fate } from '../faults/records.ts';
import { cidOf, cidText } from '../protocol/cid.ts';
import { tidOf } from '../protocol/tid.ts';
import { Account, RepoCache, type Status } from './account.ts';
import { Feed } from './feed.ts';
import { Host } from './host.ts';

export interface WorldOptions extends CatalogOptions {
  hosts: number;
  /** As many accounts on each host, one after the other in the list; else a few hosts have most of them. */
  even?: boolean;
  relays: number;
  /** Share of accounts that are not active from the start. */
  inactive: number;
  /** Share of accounts that no relay lists. */
  unlisted: number;
  /** Hosts that list DIDs without a repo, and how many each. */
  phantomHosts: number;
  phantomsPerHost: number;
  labelers: number;
  /** Share of accounts whose key is on P-256. */
  p256: number;
  /** Events that a host or relay can replay. */
  window: number;
  /** `placeholder`: listRepos gives heads that are no true CIDs for repos that nobody has asked for yet. */
  heads: 'real' | 'placeholder';
  /** Records of unchanged repos kept in memory. */
  cachedRecords: number;
  /** Keeps CARs of repos as they were at the beginning here, over the end of the process. */
  carFolder?: string;
  /** `simulated`: time is part of the seed. `wall`: live events carry the time of day. */
  clock: 'simulated' | 'wall';
}

/** When live operations begin. */
const LIVE_MS = EPOCH + SPAN + 86_400_000;

/** The network as it is: accounts on hosts, relays that follow the hosts, and the time. */
export class World {
  readonly options: WorldOptions;
  readonly catalog: Catalog;
  readonly hosts: Host[];
  readonly accounts: Account[] = [];
  /** Event streams of the relays: each has seqs of its own. */
  readonly relays: Feed[];
  readonly byDid = new Map<string, Account>();
  readonly byHandle = new Map<string, Account>();
  /** What becomes of the odd records, by URI. */
  readonly odd = new Map<string, Fate>();
  /** Posts that had a thread gate, which is gone. */
  readonly ungated = new Set<string>();
  #micros: number;
  readonly #cache: RepoCache;

  constructor(options: WorldOptions) {
    this.options = options;
    this.catalog = new Catalog(options);
    this.#micros = LIVE_MS * 1000;
    this.hosts = Array.from(
      { length: options.hosts + options.phantomHosts },
      (_, i) => new Host(i, options.window),
    );
    for (const host of this.hosts.slice(options.hosts)) host.haunt(options.phantomsPerHost, options.seed);
    this.relays = Array.from(
      { length: options.relays },
      (_, i) => new Feed({ window: options.window, next: 1 + i * 1_000_000 }),
    );
    this.#cache = new RepoCache(options.cachedRecords);
    for (let i = 0; i < options.repos; i++) this.#addFirst(i);
  }

  /** The present time in ms; stands still between operations where it is simulated. */
  get now(): number {
    return Math.floor(this.#micros / 1000);
  }

  /** Lets time pass, and returns it as events state it. */
  tick(ms: number): string {
    const isWall = this.options.clock === 'wall';
    this.#micros = isWall ? Math.max(this.#micros + 1, Date.now() * 1000) : this.#micros + ms * 1000;
    return new Date(this.now).toISOString();
  }

  /** A TID of now, above all before it. */
  tid(): string {
    this.#micros += 1;
    return tidOf(this.#micros, 0);
  }

  /** Whether the relays list an account: only those that they hold as active, and not even all of these. */
  isListed(account: Account): boolean {
    if (!account.active) return false;
    return !new Random(this.options.seed, 11, account.index).chance(this.options.unlisted);
  }

  /** CID of an account's commit, as listRepos states it. */
  headOf(account: Account): string {
    if (this.options.heads === 'real' || account.changed) return account.head.cid;
    return cidText(cidOf(Buffer.from(account.did)));
  }

  /** An account that joins now. */
  addAccount(): Account {
    const index = this.accounts.length;
    return this.#add(index, new Random(this.options.seed, 12, index), this.tid(), true);
  }

  #addFirst(index: number): void {
    const random = new Random(this.options.seed, 10, index);
    const account = this.#add(index, random, tidOf((EPOCH + SPAN) * 1000 + index * 1000, 0), false);
    if (!random.chance(this.options.inactive)) return;
    account.status = random.pick<Status>(['deactivated', 'takendown', 'suspended']);
    account.wasActive = false;
  }

  #add(index: number, random: Random, baseRev: string, isNew: boolean): Account {
    const { hosts, even } = this.options;
    const host = this.hosts[index < hosts || even ? index % hosts : random.popular(hosts)]!;
    const curve = random.chance(this.options.p256) ? 'p256' : 'k256';
    const { catalog } = this;
    const account = new Account({ catalog, cache: this.#cache, index, host, curve, baseRev, isNew });
    host.add(account);
    this.accounts.push(account);
    this.byDid.set(account.did, account);
    this.byHandle.set(account.handle, account);
    return account;
  }
}
