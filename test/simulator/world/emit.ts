import type { Block } from '../protocol/car.ts';
import {
  accountFrame,
  type CommitBody,
  commitFrame,
  type Frame,
  identityFrame,
  syncFrame,
} from '../protocol/frame.ts';
import { blockOf, cidOfNode } from '../protocol/tree.ts';
import type { Account } from './account.ts';
import type { About } from './feed.ts';
import type { Host } from './host.ts';
import type { Change, Step } from './repo.ts';
import type { World } from './world.ts';

/** Stands between what happens and what the streams say of it. */
export interface Interference {
  /** True when it has seen to the commit's event itself. */
  commit(account: Account, body: CommitBody): boolean;
  /** True when it has seen to the event itself. */
  event(account: Account, frame: Frame, about: About): boolean;
}

/** Makes things happen to accounts and says so in the event streams. */
export class Emitter {
  readonly world: World;
  interference: Interference | undefined;

  constructor(world: World) {
    this.world = world;
  }

  /** An event of an account's host: in its own stream and in every relay's. */
  send(account: Account, frame: Frame | Buffer, about: About, host: Host = account.host): void {
    host.feed.push(frame, about);
    for (const relay of this.world.relays) relay.push(frame, about);
  }

  commit(account: Account, changes: readonly Change[]): Step {
    const time = this.world.tick(0);
    const step = account.changingRepo.apply(changes, this.world.tid(), account.key);
    const body = bodyOf(step, time);
    if (!this.interference?.commit(account, body)) this.sendCommit(account, body);
    return step;
  }

  sendCommit(account: Account, body: CommitBody): void {
    this.send(account, commitFrame(body), { type: '#commit', did: account.did, rev: body.rev });
  }

  /** A new commit over the same tree, stated by `#sync`. */
  sync(account: Account): void {
    const { commit } = account.changingRepo.apply([], this.world.tid(), account.key);
    const { did, rev } = commit;
    const frame = syncFrame({ did, rev, time: this.world.tick(0), commit: [commit.cid, commit.block] });
    this.#say(account, frame, { type: '#sync', did, rev });
  }

  identity(account: Account): void {
    const { did, handle } = account;
    const frame = identityFrame({ did, handle, time: this.world.tick(1) });
    this.#say(account, frame, { type: '#identity', did });
  }

  /** States the account's status. */
  account(account: Account): void {
    const { did, active, status } = account;
    const time = this.world.tick(1);
    const frame = accountFrame({ did, time, active, ...(!active && { status }) });
    this.#say(account, frame, { type: '#account', did });
  }

  /** What the host that an account has left says in its own stream; relays listen to the new one. */
  farewell(account: Account, from: Host): void {
    const { did } = account;
    const frame = accountFrame({ did, time: this.world.tick(1), active: false, status: 'deactivated' });
    from.feed.push(frame, { type: '#account', did });
  }

  /** The commit with which a repo begins. */
  firstCommit(account: Account): void {
    const { commit, tree } = account.changingRepo;
    const { did, rev, cid } = commit;
    const blocks: Block[] = [
      [cid, commit.block],
      [cidOfNode(tree), blockOf(tree)],
    ];
    this.sendCommit(account, {
      did,
      rev,
      since: null,
      commit: cid,
      ops: [],
      blocks,
      time: this.world.tick(0),
    });
  }

  #say(account: Account, frame: Frame, about: About): void {
    if (!this.interference?.event(account, frame, about)) this.send(account, frame, about);
  }
}

function bodyOf({ commit, before, ops, blocks }: Step, time: string): CommitBody {
  const { did, rev, cid } = commit;
  return { did, rev, since: before.rev, prevData: before.data, commit: cid, ops, blocks, time };
}
