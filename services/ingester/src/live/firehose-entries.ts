import { encodeEvent, encodeRecordEvent, type Links, type RepoEvent, type RepoJob } from '@headwater/events';
import {
  type AccountFrame,
  type CommitFrame,
  type CommitOp,
  decodeFrame,
  type IdentityFrame,
  isFutureTid,
  RepoError,
  readCommit,
  readSync,
  type SyncFrame,
} from '@headwater/repo';
import type { Fields } from '@headwater/streams';
import type { Refusal } from '../verify/verifier.ts';
import { Doubles } from './doubles.ts';
import { isDid, type Outcome, stated } from './feed.ts';
import type { Filter } from './filter.ts';

export interface TranslateOptions {
  /** The relay's name in entries. */
  host: string;
  filter: Filter;
  /** Finds what comes a second time. */
  doubles?: Doubles;
  now?: () => number;
}

/**
 * A frame of subscribeRepos as what goes to the streams. Never throws: a frame
 * that can't be believed becomes a drop with the reason, and where it names its
 * repo, a repair. Records are turned into JSON only where the filter wants them.
 */
export function translateFrame(bytes: Uint8Array, options: TranslateOptions): Outcome {
  try {
    const frame = decodeFrame(bytes);
    switch (frame.type) {
      case 'error':
        return { type: 'error', fault: { error: frame.error, message: frame.message } };
      case '#info':
        return { type: 'info', notice: { name: frame.name, message: frame.message } };
      case 'unknown':
        return { type: 'unknown', seq: frame.seq, drops: ['unknown-type'] };
      default:
        if (!isDid(frame.did)) return { type: frame.type.slice(1), seq: frame.seq, drops: ['bad-did'] };
        if (!options.filter.did(frame.did)) {
          return { type: frame.type.slice(1), seq: frame.seq, time: frame.time, drops: ['other-repo'] };
        }
        return translateRepoFrame(frame, options);
    }
  } catch (err) {
    if (!(err instanceof RepoError)) throw err;
    return unreadable(err, options);
  }
}

function translateRepoFrame(
  frame: CommitFrame | SyncFrame | IdentityFrame | AccountFrame,
  options: TranslateOptions,
): Outcome {
  switch (frame.type) {
    case '#commit':
    case '#sync':
      return translateStatement(frame, options);
    case '#identity':
      return translateIdentity(frame);
    case '#account':
      return translateAccount(frame);
  }
}

/** What is signed: seen once, and not believed where it contradicts itself. */
function translateStatement(frame: CommitFrame | SyncFrame, options: TranslateOptions): Outcome {
  const { doubles, now = Date.now } = options;
  const { seq, did, rev } = frame;
  const base = { type: frame.type.slice(1), seq, time: stated(frame.time) };
  if (isFutureTid(rev, now())) return { ...base, drops: ['future-rev'] };
  const key = doubles && Doubles.keyOf(did, rev, frame.type === '#sync' ? 'sync' : frame.commit.toString());
  const known = key && doubles.find(key);
  if (known === 'durable') return { ...base, drops: ['double'] };
  if (known) return { ...base, drops: ['double'], behind: known };
  try {
    const outcome = { ...base, did, ...readStatement(frame, base.time, options) };
    return key && outcome.statement ? { ...outcome, claim: doubles.claim(key) } : outcome;
  } catch (err) {
    if (!(err instanceof RepoError)) throw err;
    const commit = frame.type === '#commit' ? frame.commit.toString() : '';
    const at = { seq, time: base.time, did, rev, commit };
    return { ...base, did, ...notBelieved(at, { reason: err.reason, error: err }, options) };
  }
}

type Statement = Pick<Outcome, 'entry' | 'drops' | 'dead' | 'repair' | 'statement' | 'at'>;

/** @throws RepoError */
function readStatement(frame: CommitFrame | SyncFrame, time: string, options: TranslateOptions): Statement {
  if (frame.type === '#sync') return readSyncFrame(frame, time, options);
  return frame.tooBig ? tooBig(frame, time, options) : readCommitFrame(frame, time, options);
}

function readCommitFrame(frame: CommitFrame, time: string, { filter }: TranslateOptions): Statement {
  const { seq, did, rev } = frame;
  const commit = readCommit(frame);
  const links: Links = { since: commit.since, prevData: commit.prevData, data: commit.data };
  const envelope = { seq, time, did, commit: commit.commit, rev };
  const { texts, bad } = opTexts(commit.ops, envelope, links, filter);
  if (texts.length === 0) texts.push(JSON.stringify({ type: 'repo', ...envelope, ...links }));
  return {
    statement: { state: commit, commit },
    at: { rev, commit: commit.commit },
    entry: fieldsOf(texts),
    ...(bad[0] && { drops: bad.map(({ reason }) => reason), dead: bad[0] }),
  };
}

type CommitEnvelope = Pick<RepoEvent, 'seq' | 'time' | 'did' | 'commit' | 'rev'>;

/** The wanted operations as JSON text. One bad record is left out and reported; its neighbours stay. */
function opTexts(ops: CommitOp[], envelope: CommitEnvelope, links: Links, filter: Filter) {
  const texts: string[] = [];
  const bad: RepoError[] = [];
  for (const op of ops) {
    if (!filter.collection(op.collection)) continue;
    try {
      texts.push(opText(op, envelope, texts.length === 0 ? links : {}));
    } catch (err) {
      if (!(err instanceof RepoError)) throw err;
      bad.push(err);
    }
  }
  return { texts, bad };
}

function opText(
  { action, collection, rkey, cid, json }: CommitOp,
  envelope: CommitEnvelope,
  links: Links,
): string {
  if (action === 'delete' || cid === null) {
    return JSON.stringify({ type: 'delete', ...envelope, collection, rkey, ...links });
  }
  return encodeRecordEvent({ type: action, ...envelope, collection, rkey, cid, ...links }, json());
}

function fieldsOf(texts: string[]): Fields {
  return texts.length === 1 ? { event: texts[0]! } : { events: `[${texts.join(',')}]` };
}

/** A commit without its operations: the repo has to be fetched; what it says of itself goes on as it is. */
function tooBig(frame: CommitFrame, time: string, options: TranslateOptions): Statement {
  const { seq, did, rev, commit } = frame;
  return {
    entry: unproven({ seq, time, did, rev, commit: commit.toString() }),
    drops: ['too-big'],
    repair: repairOf(did, options.host, rev, 'desync'),
  };
}

function readSyncFrame(frame: SyncFrame, time: string, { host }: TranslateOptions): Statement {
  const { seq, did, rev } = frame;
  const state = readSync(frame);
  const { commit, data } = state;
  return {
    statement: { state },
    at: { rev, commit },
    entry: encodeEvent({ type: 'repo', seq, time, did, commit, rev, sync: true, data }),
    repair: repairOf(did, host, rev, 'desync'),
  };
}

type At = Pick<RepoEvent, 'seq' | 'time' | 'did' | 'commit' | 'rev'>;

/** That a repo stands at a rev, and nothing of how it got there: the indexer knows then that something is missing. */
function unproven(at: At): Fields {
  return encodeEvent({ type: 'repo', ...at, sync: true });
}

/**
 * What is left of a statement that is not believed: its repo may be ahead of
 * us, and is looked at. Nothing of what it says reaches a table.
 */
export function notBelieved(
  at: At,
  { reason, error, isNobody }: Refusal,
  { host }: Pick<TranslateOptions, 'host'>,
): Statement {
  return {
    drops: [reason],
    ...(error && { dead: error }),
    ...(!isNobody && { entry: unproven(at), repair: repairOf(at.did, host, '', 'refused') }),
  };
}

function translateIdentity(frame: IdentityFrame): Outcome {
  const { seq, did } = frame;
  const time = stated(frame.time);
  const handle = /^[a-zA-Z0-9.-]{1,253}$/.test(frame.handle ?? '') ? frame.handle : undefined;
  return {
    type: 'identity',
    seq,
    time,
    did,
    identity: did,
    entry: encodeEvent({ type: 'identity', seq, time, did, ...(handle !== undefined && { handle }) }),
  };
}

function translateAccount(frame: AccountFrame): Outcome {
  const { seq, did, active } = frame;
  const time = stated(frame.time);
  const status = frame.status?.slice(0, 64);
  return {
    type: 'account',
    seq,
    time,
    did,
    entry: encodeEvent({ type: 'account', seq, time, did, active, ...(status !== undefined && { status }) }),
  };
}

/** A frame that can't be read: kept, counted, and its repo looked at if it is known which. */
function unreadable(err: RepoError, { host, filter }: TranslateOptions): Outcome {
  const { seq, did, reason } = err;
  const known = did !== undefined && isDid(did) && filter.did(did);
  return {
    type: 'refused',
    seq: Number.isSafeInteger(seq) ? seq : undefined,
    drops: [reason],
    dead: err,
    ...(known && { repair: repairOf(did, host, '', 'refused') }),
  };
}

function repairOf(did: string, host: string, rev: string, reason: string): RepoJob {
  return { did, host, rev, active: true, reason };
}
