import type { Account, Status } from './account.ts';
import type { Emitter } from './emit.ts';
import type { World } from './world.ts';

/** What happens to accounts rather than to records, each with the events that a PDS and a relay send about it. */
export class Accounts {
  readonly #world: World;
  readonly #emitter: Emitter;
  #handles = 0;
  /** Handles that nobody has any more. */
  readonly #free: string[] = [];

  constructor(world: World, emitter: Emitter) {
    this.#world = world;
    this.#emitter = emitter;
  }

  /** A new account with an empty repo. */
  create(): Account {
    const account = this.#world.addAccount();
    this.#emitter.identity(account);
    this.#emitter.account(account);
    this.#emitter.firstCommit(account);
    return account;
  }

  hide(account: Account, status: Exclude<Status, 'active' | 'deleted'>): void {
    account.status = status;
    this.#emitter.account(account);
  }

  /** Back again, with the same repo under a new commit. */
  reactivate(account: Account): void {
    account.status = 'active';
    this.#emitter.account(account);
    this.#emitter.sync(account);
  }

  /** For ever. */
  delete(account: Account): void {
    account.status = 'deleted';
    this.#world.byHandle.delete(account.handle);
    this.#emitter.account(account);
  }

  changeHandle(account: Account, reuse: boolean): void {
    const handle = (reuse && this.#free.shift()) || `n${++this.#handles}.test`;
    this.#world.byHandle.delete(account.handle);
    this.#free.push(account.handle);
    account.handle = handle;
    this.#world.byHandle.set(handle, account);
    this.#emitter.identity(account);
  }

  /**
   * A new signing key and at once a commit under it: a repo whose commit the
   * document's key does not verify is never there to be fetched.
   */
  rotateKey(account: Account): void {
    account.rotateKey();
    this.#emitter.identity(account);
    this.#emitter.commit(account, []);
  }

  /** To another host, with a new key and the same tree. */
  migrate(account: Account): void {
    const { hosts, options } = this.#world;
    const from = account.host;
    const to = hosts[(from.index + 1) % options.hosts]!;
    account.host = to;
    account.rotateKey();
    from.leave(account);
    to.add(account);
    this.#emitter.farewell(account, from);
    this.#emitter.identity(account);
    this.#emitter.account(account);
    this.#emitter.sync(account);
  }
}
