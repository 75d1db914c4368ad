import { Random } from '../content/random.ts';
import { accountFrame, type CommitBody, commitFrame, type Frame } from '../protocol/frame.ts';
import type { Account } from '../world/account.ts';
import type { Emitter, Interference } from '../world/emit.ts';
import type { About } from '../world/feed.ts';
import type { World } from '../world/world.ts';
import { COMMIT_FAULTS, type CommitFaultName, spoil } from './commits.ts';
import type { Expectation, FaultLog } from './registry.ts';

/** Faults of single events besides those of commits. */
export const EVENT_FAULTS = {
  /** The rotation of a key or the change of a handle is not announced. */
  'identity-lost': 'any',
  /** Announced only after the next commits. */
  'identity-late': 'any',
  /** An older status of an account is sent again after a newer one. */
  'account-replayed': 'drop',
  /** Two commits of a repo change places. */
  'commit-swapped': 'any',
  /** An old commit is sent again. */
  'commit-replayed': 'drop',
} as const satisfies Record<string, Expectation>;

export type EventFaultName = keyof typeof EVENT_FAULTS;
export type DisturbanceName = CommitFaultName | EventFaultName;

interface Sent {
  frame: Frame;
  about: About;
  account: Account;
}

/** Old events that are kept to be sent again. */
const KEPT = 500;

/** Spoils what the streams say, by a share of the events or for an account's next one. */
export class Disturbance implements Interference {
  readonly #world: World;
  readonly #emitter: Emitter;
  readonly #log: FaultLog;
  readonly #random: Random;
  readonly #rates = new Map<DisturbanceName, number>();
  readonly #next = new Map<string, CommitFaultName[]>();
  /** Events held back, by DID. */
  readonly #held = new Map<string, Sent>();
  readonly #commits: Sent[] = [];
  readonly #statuses: Sent[] = [];
  /** Accounts whose last word on the stream was false: the next true commit gives it away. */
  readonly #unsettled = new Set<Account>();
  /** Accounts of which the last status that was said is not the true one, or may not have been heard. */
  readonly #misstated = new Set<Account>();
  /** Accounts whose last change of identity was not announced, or may not have been heard. */
  readonly #unannounced = new Set<Account>();

  constructor(world: World, emitter: Emitter, log: FaultLog) {
    this.#world = world;
    this.#emitter = emitter;
    this.#log = log;
    this.#random = new Random(world.options.seed, 30);
  }

  /** Strikes this share of the events that it fits. */
  rate(name: DisturbanceName, probability: number): void {
    this.#rates.set(name, probability);
  }

  clear(): void {
    this.#rates.clear();
    this.#next.clear();
  }

  /** Strikes an account's next commit that it fits. */
  next(did: string, name: CommitFaultName): void {
    this.#next.set(did, [...(this.#next.get(did) ?? []), name]);
  }

  commit(account: Account, body: CommitBody): boolean {
    const name = this.#chosen(account, body);
    const spoiled = name && spoil(name, body, account);
    if (!name || !spoiled) {
      this.#passOn(account, { frame: commitFrame(body), about: aboutCommit(body), account });
      return true;
    }
    const { did, rev } = body;
    this.#log.note({ fault: name, expect: spoiled.expect, did, rev, seq: this.#world.relays[0]!.newest + 1 });
    if (spoiled.expect === 'repair' || spoiled.expect === 'any') this.#unsettled.add(account);
    for (const one of spoiled.bodies) this.#emitter.sendCommit(account, one);
    this.#release(account);
    return true;
  }

  event(account: Account, frame: Frame, about: About): boolean {
    const sent = { frame, about, account };
    if (about.type === '#account') {
      // Of an account that is hidden nothing more is passed on.
      this.#release(account);
      keep(this.#statuses, sent);
    }
    if (about.type !== '#identity') {
      this.#send(sent);
      if (this.#happens('account-replayed')) this.#replayStatus();
      return true;
    }
    if (this.#happens('identity-lost')) {
      this.#note('identity-lost', account);
      this.#unannounced.add(account);
    } else if (!this.#held.has(account.did) && this.#happens('identity-late'))
      this.#hold('identity-late', sent);
    else this.#send(sent);
    return true;
  }

  /** Sends what is held back, and makes every account say something true whose last word was not. */
  settle(touch: (account: Account) => void): void {
    for (const account of [...this.#held.values()].map((sent) => sent.account)) this.#release(account);
    for (const account of this.#unsettled) if (account.active) touch(account);
    this.#unsettled.clear();
    for (const account of this.#misstated) this.#emitter.account(account);
    this.#misstated.clear();
    for (const account of this.#unannounced) if (account.active) this.#emitter.identity(account);
    this.#unannounced.clear();
  }

  /** Takes note of an event that was lost: `settle` has to see to its account. */
  lost({ did, type }: About): Account | undefined {
    const account = did === undefined ? undefined : this.#world.byDid.get(did);
    const lists: Record<string, Set<Account>> = {
      '#account': this.#misstated,
      '#identity': this.#unannounced,
    };
    if (account) (lists[type] ?? this.#unsettled).add(account);
    return account;
  }

  /** Says of an account what it is not: `desynchronized`, `throttled`, a status that nobody knows. */
  sayStatus(account: Account, status: string, active = false): void {
    const { did } = account;
    const expect = status === 'desynchronized' ? 'repair' : 'any';
    this.#log.note({ fault: `account-${status}`, expect, did, seq: this.#world.relays[0]!.newest + 1 });
    const frame = accountFrame({ did, time: this.#world.tick(1), active, status });
    this.#send({ frame, about: { type: '#account', did }, account });
    this.#misstated.add(account);
  }

  /** Sends an older status of some account once more, as a relay does that replays. */
  #replayStatus(): void {
    const old = this.#statuses[this.#random.below(this.#statuses.length)];
    if (!old || old.account.status === 'deleted') return;
    this.#note('account-replayed', old.account);
    this.#send(old);
  }

  #passOn(account: Account, sent: Sent): void {
    if (!this.#held.has(account.did) && this.#happens('commit-swapped')) {
      this.#hold('commit-swapped', sent);
      return;
    }
    this.#send(sent);
    this.#release(account);
    keep(this.#commits, sent);
    if (this.#commits.length > 1 && this.#happens('commit-replayed')) this.#replayCommit();
  }

  #replayCommit(): void {
    const old = this.#commits[this.#random.below(this.#commits.length - 1)]!;
    if (!old.account.active) return;
    this.#note('commit-replayed', old.account, old.about.rev);
    this.#send(old);
  }

  #hold(name: EventFaultName, sent: Sent): void {
    this.#note(name, sent.account, sent.about.rev);
    this.#held.set(sent.account.did, sent);
  }

  #release({ did }: Account): void {
    const held = this.#held.get(did);
    this.#held.delete(did);
    if (held) this.#send(held);
  }

  #send({ account, frame, about }: Sent): void {
    this.#emitter.send(account, frame, about);
  }

  #note(fault: EventFaultName, { did }: Account, rev?: string): void {
    const seq = this.#world.relays[0]!.newest + 1;
    this.#log.note({ fault, expect: EVENT_FAULTS[fault], did, seq, ...(rev && { rev }) });
  }

  #happens(name: DisturbanceName): boolean {
    const rate = this.#rates.get(name);
    return rate !== undefined && this.#random.chance(rate);
  }

  #chosen({ did }: Account, body: CommitBody): CommitFaultName | undefined {
    const queue = this.#next.get(did) ?? [];
    const name = queue[0];
    if (name && (body.ops.length > 0 || name === 'commit-lost')) {
      queue.shift();
      return name;
    }
    for (const [rated] of this.#rates) {
      if (Object.hasOwn(COMMIT_FAULTS, rated) && this.#happens(rated)) return rated as CommitFaultName;
    }
    return undefined;
  }
}

function aboutCommit({ did, rev }: CommitBody): About {
  return { type: '#commit', did, rev };
}

function keep(list: Sent[], sent: Sent): void {
  list.push(sent);
  if (list.length > KEPT) list.shift();
}
