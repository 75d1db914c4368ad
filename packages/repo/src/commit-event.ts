import { type CarReader, readCarBytes } from './car.ts';
import { cidText } from './cid.ts';
import { type Commit, decodeCommit } from './commit.ts';
import { RepoError } from './errors.ts';
import type { CommitFrame, FrameOp, SyncFrame } from './frame.ts';
import { recordToJson } from './lexicon-json.ts';
import { splitPath } from './repo-path.ts';
import { verifySignature } from './signature.ts';

/** Limits of Sync v1.1. */
export const MAX_COMMIT_BLOCKS_BYTES = 2_000_000;
export const MAX_SYNC_BLOCKS_BYTES = 10_000;
export const MAX_COMMIT_OPS = 200;
const DIGEST_AT = 4;

/** One operation of a commit whose form was checked. */
export interface CommitOp {
  action: 'create' | 'update' | 'delete';
  path: string;
  collection: string;
  rkey: string;
  /** CID of the record; null for a delete. */
  cid: string | null;
  /** CID of the record before; null for a create, undefined where a legacy producer omits it. */
  prev: string | null | undefined;
  /** The digests in `cid` and `prev`. */
  digest: Uint8Array | undefined;
  prevDigest: Uint8Array | undefined;
  /**
   * The record as lexicon JSON text.
   *
   * @throws RepoError `bad-cbor`, `bad-record`, `too-large`: this record alone is bad
   */
  json(): string;
}

/** A statement of an account's current commit, whose block was hashed and compared. */
export interface SignedState {
  did: string;
  rev: string;
  /** CID of the signed commit. */
  commit: string;
  /** CID of the root of the tree. */
  data: string;
  /** The signed commit itself. */
  root: Commit;
  /** Whether the commit is signed with this did:key. Throws RepoError `bad-key`. */
  verify(key: string): boolean;
}

export interface CommitEvent extends SignedState {
  /** Number of the frame at its source. */
  seq: number;
  /** rev of the commit before, as stated; null for a first commit. */
  since: string | null;
  /** Root of the tree before, as stated; null for a first commit or where a legacy producer omits it. */
  prevData: string | null;
  /** The digest in `prevData`. */
  prevDataDigest: Uint8Array | undefined;
  ops: CommitOp[];
  /** What the structure is checked with. */
  car: CarReader;
}

/**
 * Reads what a `#commit` claims and holds it against its own blocks: sizes,
 * hashes, the signed commit's DID and rev, the form of every operation, a
 * block for every record. Neither the signature (`verify`) nor the tree
 * (`checkCommit`) is checked here.
 *
 * @throws RepoError `too-large`, `bad-commit-event`, `wrong-did`, `missing-block` and those of the CAR
 */
export function readCommit(frame: CommitFrame): CommitEvent {
  return located(frame, () => {
    if (frame.tooBig) throw new RepoError('too-large', 'the commit event says that it is too big');
    if (frame.ops.length > MAX_COMMIT_OPS) {
      throw new RepoError('too-large', `a commit event of ${frame.ops.length} operations`);
    }
    const car = readCarBytes(frame.blocks, { maxBytes: MAX_COMMIT_BLOCKS_BYTES });
    if (!car.root.equals(frame.commit)) contradicts('its commit is not the root of its blocks');
    const state = signedState(frame, car);
    if (frame.since !== null && frame.since >= frame.rev) contradicts('its rev is not above since');
    return {
      ...state,
      seq: frame.seq,
      since: frame.since,
      prevData: frame.prevData?.toString() ?? null,
      prevDataDigest: frame.prevData?.bytes.subarray(DIGEST_AT),
      ops: readOps(frame.ops, car),
      car,
    };
  });
}

/**
 * Reads a `#sync`: the current commit of an account, without its tree.
 *
 * @throws RepoError as readCommit
 */
export function readSync(frame: SyncFrame): SignedState {
  return located(frame, () =>
    signedState(frame, readCarBytes(frame.blocks, { maxBytes: MAX_SYNC_BLOCKS_BYTES })),
  );
}

function signedState(frame: { did: string; rev: string }, car: CarReader): SignedState {
  const block = blockOf(car, car.root.bytes);
  if (block === undefined) throw new RepoError('missing-block', 'the block of the commit is missing');
  const root = decodeCommit(block);
  if (root.did !== frame.did) {
    throw new RepoError('wrong-did', `the commit is of ${root.did}, its event of ${frame.did}`);
  }
  if (root.rev !== frame.rev) contradicts('its rev is not that of its commit');
  return {
    did: root.did,
    rev: root.rev,
    commit: cidText(car.root.bytes),
    data: cidText(root.data.bytes),
    root,
    verify: (key) => verifySignature(key, root.unsigned, root.sig),
  };
}

function readOps(ops: FrameOp[], car: CarReader): CommitOp[] {
  const paths = new Set<string>();
  return ops.map((op) => {
    if (paths.has(op.path)) contradicts('two of its operations have the same path');
    paths.add(op.path);
    return readOp(op, car);
  });
}

function readOp(op: FrameOp, car: CarReader): CommitOp {
  const { action, path } = op;
  if (action !== 'create' && action !== 'update' && action !== 'delete') contradicts('an action is unknown');
  const parts = splitPath(path);
  if (parts === undefined) throw new RepoError('bad-path', 'a path is not collection/rkey');
  if ((op.cid === null) !== (action === 'delete')) contradicts('a cid where none belongs, or none');
  if (action === 'create' && op.prev != null) contradicts('a create has a prev');
  const block = op.cid === null ? undefined : blockOf(car, op.cid.bytes);
  if (op.cid !== null && block === undefined) {
    throw new RepoError('missing-block', `the block of the record ${path} is missing`);
  }
  return {
    action,
    path,
    ...parts,
    cid: op.cid === null ? null : cidText(op.cid.bytes),
    prev: action === 'create' ? null : op.prev?.toString(),
    digest: op.cid?.bytes.subarray(DIGEST_AT),
    prevDigest: op.prev?.bytes.subarray(DIGEST_AT),
    json: () => recordJson(block),
  };
}

function recordJson(block: Buffer | undefined): string {
  if (block === undefined) throw new RepoError('bad-record', 'a delete has no record');
  return recordToJson(block);
}

/** The block of a CID, undefined where the blocks lack it. */
export function blockOf(car: CarReader, cid: Uint8Array): Buffer | undefined {
  const block = car.index.find(cid, DIGEST_AT);
  if (block < 0) return undefined;
  const length = car.index.length(block);
  const bytes = car.store.read(car.index.position(block), length);
  return bytes.subarray(car.store.offset, car.store.offset + length);
}

function located<T>(frame: { seq: number; did: string }, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RepoError) {
      error.seq = frame.seq;
      error.did = frame.did;
    }
    throw error;
  }
}

function contradicts(message: string): never {
  throw new RepoError('bad-commit-event', `the commit event: ${message}`);
}
