import { Random } from '../content/random.ts';
import type { Account } from './account.ts';
import { Accounts } from './accounts.ts';
import type { Emitter } from './emit.ts';
import { someChanges } from './operations.ts';
import { Subjects } from './subjects.ts';
import type { World } from './world.ts';

/** How often something happens to an account instead of its records, of 1000 operations. */
export interface LifeRates {
  create: number;
  hide: number;
  reactivate: number;
  delete: number;
  handle: number;
  rotate: number;
  migrate: number;
  sync: number;
}

export const DEFAULT_RATES: LifeRates = {
  create: 2,
  hide: 4,
  reactivate: 5,
  delete: 1,
  handle: 3,
  rotate: 3,
  migrate: 3,
  sync: 2,
};

/** Share of the accounts that may be hidden or deleted at a time. */
const MAX_HIDDEN = 0.1;
const MAX_DELETED = 0.1;

/** Lets the network live on: a seeded sequence of operations. */
export class Life {
  readonly accounts: Accounts;
  readonly #world: World;
  readonly #emitter: Emitter;
  readonly #rates: LifeRates;
  readonly #subjects: Subjects;
  readonly #random: Random;
  readonly #hidden = new Set<Account>();
  #deleted = 0;

  constructor(world: World, emitter: Emitter, rates: LifeRates) {
    this.#world = world;
    this.#emitter = emitter;
    this.#rates = rates;
    this.accounts = new Accounts(world, emitter);
    this.#subjects = new Subjects(world);
    this.#random = new Random(world.options.seed, 20);
    for (const account of world.accounts) if (!account.active) this.#hidden.add(account);
  }

  /** One operation; returns how many writes and events it was. */
  step(): number {
    this.#world.tick(5 + this.#random.below(90));
    const life = this.#random.next() * 1000;
    let below = 0;
    for (const kind of Object.keys(this.#rates) as (keyof LifeRates)[]) {
      below += this.#rates[kind];
      if (life < below) return this.#happen(kind);
    }
    return this.#write();
  }

  /** Brings back all who are hidden, so that the truth is definite. */
  reactivateAll(): void {
    for (const account of this.#hidden) this.accounts.reactivate(account);
    this.#hidden.clear();
  }

  /** A commit of an account that has something to say. */
  touch(account: Account): void {
    this.#world.tick(5);
    const path = `app.bsky.feed.like/${this.#world.tid()}`;
    const { uri, cid } = this.#subjects.draw(this.#random);
    const json = {
      $type: 'app.bsky.feed.like',
      subject: { uri, cid },
      createdAt: new Date(this.#world.now).toISOString(),
    };
    this.#emitter.commit(account, [{ action: 'create', path, json }]);
  }

  #write(): number {
    const account = this.#writer();
    const world = this.#world;
    const changes = someChanges({ world, account, random: this.#random, subjects: this.#subjects });
    this.#emitter.commit(account, changes);
    return Math.max(changes.length, 1);
  }

  /** An active account: the half of the time one of the busy ones. */
  #writer(): Account {
    const { accounts } = this.#world;
    for (;;) {
      const n = accounts.length;
      const account = accounts[this.#random.chance(0.5) ? this.#random.popular(n) : this.#random.below(n)]!;
      if (account.active && !account.quiet) return account;
    }
  }

  #happen(kind: keyof LifeRates): number {
    const { accounts } = this;
    if (kind === 'create') accounts.create();
    else if (kind === 'reactivate') return this.#reactivate();
    else if (kind === 'hide') return this.#hide();
    else if (kind === 'delete') return this.#delete();
    else if (kind === 'handle') accounts.changeHandle(this.#writer(), this.#random.chance(0.2));
    else if (kind === 'rotate') accounts.rotateKey(this.#writer());
    else if (kind === 'migrate') accounts.migrate(this.#writer());
    else this.#emitter.sync(this.#writer());
    return 1;
  }

  #reactivate(): number {
    const [account] = this.#hidden;
    if (!account) return this.#write();
    this.#hidden.delete(account);
    this.accounts.reactivate(account);
    return 1;
  }

  #hide(): number {
    if (this.#hidden.size >= this.#world.accounts.length * MAX_HIDDEN) return this.#reactivate();
    const account = this.#writer();
    this.accounts.hide(account, this.#random.pick(['deactivated', 'deactivated', 'takendown', 'suspended']));
    this.#hidden.add(account);
    return 1;
  }

  #delete(): number {
    if (this.#deleted >= this.#world.accounts.length * MAX_DELETED) return this.#write();
    this.#deleted++;
    this.accounts.delete(this.#writer());
    return 1;
  }
}
