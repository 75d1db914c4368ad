import { encodeEvent, encodeRecordEvent, type Links, type RepoEvent, type RepoJob } from '@headwater/events';
import {
  type AccountFrame,
  type CommitEvent,
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
import { isDid, type Outcome, stated } from './feed.ts';
import type { Filter } from './filter.ts';

export interface TranslateOptions {
  /** The relay's name in entries. */
  host: string;
  filter: Filter;
  now?: () => number;
}

/** A commit on its way: translated already, still to be verified. */
export interface Candidate extends Outcome {
  commit?: CommitEvent;
}

/**
 * A frame of subscribeRepos as what goes to the streams. Never throws: a frame
 * that can't be believed becomes a drop with the reason, and where it names its
 * repo, a repair. Records are turned into JSON only where the filter wants them.
 */
export function translateFrame(bytes: Uint8Array, options: TranslateOptions): Candidate {
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
    return refused(err, options);
  }
}

function translateRepoFrame(
  frame: CommitFrame | SyncFrame | IdentityFrame | AccountFrame,
  options: TranslateOptions,
): Candidate {
  switch (frame.type) {
    case '#commit':
      return translateCommit(frame, options);
    case '#sync':
      return translateSync(frame, options);
    case '#identity':
      return translateIdentity(frame);
    case '#account':
      return translateAccount(frame);
  }
}

function translateCommit(frame: CommitFrame, { host, filter, now = Date.now }: TranslateOptions): Candidate {
  const { seq, did, rev } = frame;
  const time = stated(frame.time);
  const base = { type: 'commit', seq, time };
  if (isFutureTid(rev, now())) return { ...base, drops: ['future-rev'] };
  if (frame.tooBig) return tooBig(frame, time, host);
  const commit = readCommit(frame);
  const links: Links = { since: commit.since, prevData: commit.prevData, data: commit.data };
  const envelope = { seq, time, did, commit: commit.commit, rev };
  const { texts, bad } = opTexts(commit.ops, envelope, links, filter);
  if (texts.length === 0) texts.push(JSON.stringify({ type: 'repo', ...envelope, ...links }));
  return {
    ...base,
    commit,
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
function tooBig(frame: CommitFrame, time: string, host: string): Candidate {
  const { seq, did, rev, since } = frame;
  const commit = frame.commit.toString();
  const links = { since, prevData: frame.prevData?.toString() };
  return {
    type: 'commit',
    seq,
    time,
    entry: encodeEvent({ type: 'repo', seq, time, did, commit, rev, sync: true, ...links }),
    drops: ['too-big'],
    repair: repairOf(did, host, rev),
  };
}

function translateSync(frame: SyncFrame, { host, now = Date.now }: TranslateOptions): Candidate {
  const { seq, did, rev } = frame;
  const time = stated(frame.time);
  if (isFutureTid(rev, now())) return { type: 'sync', seq, time, drops: ['future-rev'] };
  const { commit, data } = readSync(frame);
  return {
    type: 'sync',
    seq,
    time,
    entry: encodeEvent({ type: 'repo', seq, time, did, commit, rev, sync: true, data }),
    repair: repairOf(did, host, rev),
  };
}

function translateIdentity(frame: IdentityFrame): Candidate {
  const { seq, did } = frame;
  const time = stated(frame.time);
  const handle = /^[a-zA-Z0-9.-]{1,253}$/.test(frame.handle ?? '') ? frame.handle : undefined;
  return {
    type: 'identity',
    seq,
    time,
    identity: did,
    entry: encodeEvent({ type: 'identity', seq, time, did, ...(handle !== undefined && { handle }) }),
  };
}

function translateAccount(frame: AccountFrame): Candidate {
  const { seq, did, active } = frame;
  const time = stated(frame.time);
  const status = frame.status?.slice(0, 64);
  return {
    type: 'account',
    seq,
    time,
    entry: encodeEvent({ type: 'account', seq, time, did, active, ...(status !== undefined && { status }) }),
  };
}

/** A frame that can't be believed: kept, counted, and its repo fetched if it is known which. */
export function refused(
  err: RepoError,
  { host, filter }: Pick<TranslateOptions, 'host' | 'filter'>,
): Candidate {
  const { seq, did, reason } = err;
  const known = did !== undefined && isDid(did) && filter.did(did);
  return {
    type: 'refused',
    seq: Number.isSafeInteger(seq) ? seq : undefined,
    drops: [reason],
    dead: err,
    ...(known && { repair: repairOf(did, host, '') }),
  };
}

function repairOf(did: string, host: string, rev: string): RepoJob {
  return { did, host, rev, active: true, reason: 'desync' };
}
