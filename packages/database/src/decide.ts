/** What an event does to the rows that are there. Pure: everything it depends on is passed in. */
import { addCommit, addFetch, addSync, type Chain, type ChainOutcome } from './chain.ts';
import type { AccountState, Entry, Op } from './prepare.ts';
import { add, contains, covers, type Ranges } from './ranges.ts';
import { timeOfRev } from './revs.ts';

export type RepoStateName = 'new' | 'fetching' | 'sent' | 'complete' | 'unavailable' | 'failed' | 'deleted';

/**
 * Why a repo is to be looked at: a commit is missing; what we hold is contradicted; nothing is known to be wrong, but
 * the account was away or a host says that it lost track of it.
 */
export type GapReason = 'gap' | 'desync' | 'account';

/** A row of headwater.repo. */
export interface Repo extends Chain {
  did: string;
  state: RepoStateName;
  floor: string | null;
  fetch: string | null;
  parts: number | null;
  partsDone: Ranges;
  fresh: boolean;
  fetchCommit: string | null;
  fetchData: string | null;
  liveRev: string | null;
  /** It may be out of step and is to be looked at: something is missing, contradicts, or the account is back. */
  gap: boolean;
  gapReason: GapReason | null;
  account: AccountState | null;
  actor: boolean;
}

/** What is known of one URI: a row's version, or a tombstone's rev with cid null. */
export interface Held {
  rev: string;
  cid: string | null;
}

export interface EntryPlan {
  repo: Repo;
  /** What remains of the entry's operations under the repo's floor. */
  ops: readonly Op[];
  /** The rows of this entry can't be there yet: write without reading. */
  direct: boolean;
  dropped?: 'below-floor' | 'older-fetch' | 'deleted-account';
  chain?: ChainOutcome;
  /** The commit that the repo now stands at, for actor_sync. */
  at?: { rev: string; cid: string } | undefined;
}

/** Takes one entry up into its repo's state. */
export function planEntry(before: Repo, entry: Entry): EntryPlan {
  const plan = planOf(before, entry);
  return plan.repo === before ? plan : { ...plan, repo: outlived(plan.repo) };
}

/**
 * An account that is hidden and has written since is back, and the event that
 * said so was lost: its host is asked.
 */
function outlived(repo: Repo): Repo {
  const { account, floor, head } = repo;
  if (!account || account.active || account.status === 'deleted') return repo;
  const newest = (floor ?? '') > (head ?? '') ? floor : head;
  return newest !== null && timeOfRev(newest) > account.time ? suspected(repo) : repo;
}

function planOf(before: Repo, entry: Entry): EntryPlan {
  const repo = takeAccount(before, entry.account);
  if (!entry.commit) return { repo, ops: [], direct: false };
  if (repo.state === 'deleted') return { repo, ops: [], direct: false, dropped: 'deleted-account' };
  return entry.live ? planLive(repo, entry, entry.commit) : planBackfill(repo, entry, entry.commit);
}

type Commit = NonNullable<Entry['commit']>;

function planLive(before: Repo, entry: Entry, { rev, cid, sync, links }: Commit): EntryPlan {
  const { chain, outcome } = sync
    ? addSync(before, { rev, data: links.data })
    : addCommit(before, { ...links, rev });
  const repo: Repo = { ...before, ...chain, ...suspicion(before, chain, outcome) };
  if (sync) return { repo, ops: [], direct: false, chain: outcome };
  if (repo.floor !== null && rev <= repo.floor) {
    return { repo, ops: [], direct: false, chain: outcome, dropped: 'below-floor' };
  }
  if (repo.liveRev === null || rev > repo.liveRev) repo.liveRev = rev;
  // An entry of another producer may hold several commits.
  const ops = repo.floor === null ? entry.ops : entry.ops.filter((op) => op.rev > repo.floor!);
  if (ops.length > 0) repo.fresh = false;
  return { repo, ops, direct: false, chain: outcome, at: { rev, cid } };
}

type Suspicion = Pick<Repo, 'gap' | 'gapReason'>;

/** What a live commit makes of the suspicion that the repo is out of step. */
function suspicion(before: Repo, { links }: Chain, outcome: ChainOutcome): Suspicion {
  const { gap, gapReason, state } = before;
  if (outcome === 'broken') return { gap: true, gapReason: 'desync' };
  // Only a fetch mends rows that may be wrong.
  if (gapReason === 'desync') return { gap, gapReason };
  if (before.head === null && links.length > 0) {
    // Never fetched: the enumeration's business, unless it was told that there is nothing.
    return state === 'unavailable' ? { gap: true, gapReason: 'account' } : { gap, gapReason };
  }
  if (links.length > 0) return { gap: true, gapReason: 'gap' };
  // A repo's first commit, by its own account: producers that never say what came before look the same.
  if (before.head === null && outcome === 'extended') return { gap: true, gapReason: 'account' };
  // A commit that goes on from what we hold shows that nothing was missed.
  const answered = outcome === 'extended' && state === 'complete';
  return gapReason === 'account' && !answered ? { gap, gapReason } : { gap: false, gapReason: null };
}

function planBackfill(before: Repo, entry: Entry, { rev, cid }: Commit): EntryPlan {
  if (before.floor !== null && rev < before.floor) {
    return { repo: before, ops: [], direct: false, dropped: 'older-fetch' };
  }
  const { part, end } = entry;
  const current = part !== undefined && part.fetch === before.fetch && rev === before.floor;
  if (!current) {
    const ops = before.floor === null ? entry.ops : entry.ops.filter((op) => op.rev >= before.floor!);
    return { repo: { ...before, fresh: before.fresh && ops.length === 0 }, ops, direct: false };
  }
  const direct = before.fresh && part.fresh && !contains(before.partsDone, part.part);
  const repo: Repo = { ...before, partsDone: add(before.partsDone, part.part) };
  if (!direct && entry.ops.length > 0) repo.fresh = false;
  if (end) Object.assign(repo, { parts: end.parts, fetchData: end.data, fetchCommit: cid });
  const complete = isComplete(repo);
  return {
    repo: complete ? completed(repo) : repo,
    ops: entry.ops,
    direct,
    at: complete && repo.fetchCommit ? { rev, cid: repo.fetchCommit } : undefined,
  };
}

function isComplete(repo: Repo): boolean {
  return repo.parts !== null && repo.state !== 'complete' && covers(repo.partsDone, repo.parts);
}

/** Every part of the fetch is applied: the history is known up to its rev. */
function completed(repo: Repo): Repo {
  const chain = addFetch(repo, repo.floor!, repo.fetchData);
  const gap = chain.links.length > 0;
  const broken = chain.links.some((link) => link.broken);
  return { ...repo, ...chain, state: 'complete', gap, gapReason: gap ? (broken ? 'desync' : 'gap') : null };
}

/** Statuses by which a host speaks of itself: it lost track of the account, or holds it back. */
const ofHosts = new Set(['desynchronized', 'throttled']);

/** The newest account event counts, whenever it arrives. Of two of one time the same one always wins. */
function takeAccount(before: Repo, account: AccountState | undefined): Repo {
  if (!account) return before;
  const ofHost = ofHosts.has(account.status ?? '');
  const repo = ofHost ? suspected(before) : before;
  if (ofHost && !account.active) return repo;
  const known = repo.account;
  const newer =
    !known || account.time > known.time || (account.time === known.time && rank(account) > rank(known));
  if (!newer) return repo;
  const isBack = account.active && known?.active === false;
  return isBack ? { ...suspected(revived(repo)), account } : { ...repo, account };
}

function suspected(repo: Repo): Repo {
  return repo.gap ? repo : { ...repo, gap: true, gapReason: 'account' };
}

/** An account that was deleted has nothing here: its repo begins again, above every rev that it ever had. */
export function revived(repo: Repo): Repo {
  if (repo.state !== 'deleted') return repo;
  return { ...repo, state: 'new', fetch: null, parts: null, partsDone: [], fresh: false };
}

function rank(account: AccountState): string {
  return account.active ? '' : (account.status ?? 'unknown');
}

/** What the AppView should show: null for an active account. Any other text hides the account. */
export function upstreamStatus(account: AccountState): string | null {
  if (!account.active) return account.status ?? 'unknown';
  return null;
}

/**
 * Folds all operations on one URI into the one that decides, in whatever order they come.
 *
 * @returns the operation that took effect last, or null when all are contained in what is held
 */
export function fold(held: Held | null, ops: readonly Op[]): Op | null {
  if (ops.length === 1) return takesEffect(held, ops[0]!) ? ops[0]! : null;
  let last: Op | null = null;
  let now = held;
  for (const op of ops) {
    if (!takesEffect(now, op)) continue;
    last = op;
    now = { rev: op.rev, cid: op.version?.cid ?? null };
  }
  return last;
}

function takesEffect(held: Held | null, op: Op): boolean {
  if (op.live) return held === null || held.rev < op.rev;
  // A fetch states the version at its rev: only newer ones stand against it.
  if (held === null) return op.version !== null;
  return held.rev <= op.rev && held.cid !== (op.version?.cid ?? null);
}
