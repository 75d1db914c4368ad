import { CborCursor, type CborMap, type CborValue, readValue } from './cbor.ts';
import { Cid } from './cid.ts';
import { RepoError } from './errors.ts';
import { isTid } from './tid.ts';

/** Largest frame of a subscription (Sync v1.1). */
export const MAX_FRAME_BYTES = 5_000_000;

interface Sequenced {
  /** Number of the frame at its source. */
  seq: number;
  /** RFC 3339 time as the source states it. */
  time: string;
  did: string;
}

/** An operation as a commit event states it, not yet checked. */
export interface FrameOp {
  action: string;
  path: string;
  cid: Cid | null;
  /** CID of the record before; undefined where a legacy producer omits it. */
  prev: Cid | null | undefined;
}

/** `#commit`. Byte strings are views into the frame. */
export interface CommitFrame extends Sequenced {
  type: '#commit';
  rev: string;
  since: string | null;
  commit: Cid;
  blocks: Buffer;
  ops: FrameOp[];
  /** Root of the tree before; undefined where a legacy producer omits it. */
  prevData: Cid | null | undefined;
  /** Deprecated: the commit did not fit, the repo is to be fetched. */
  tooBig: boolean;
}

export interface SyncFrame extends Sequenced {
  type: '#sync';
  rev: string;
  blocks: Buffer;
}

export interface IdentityFrame extends Sequenced {
  type: '#identity';
  handle: string | undefined;
}

export interface AccountFrame extends Sequenced {
  type: '#account';
  active: boolean;
  status: string | undefined;
}

export interface InfoFrame {
  type: '#info';
  name: string;
  message: string | undefined;
}

export interface ErrorFrame {
  type: 'error';
  /** Such as `FutureCursor`, `ConsumerTooSlow`. */
  error: string;
  message: string | undefined;
}

/** A message of a type that is not known here, which is to be skipped. */
export interface UnknownFrame {
  type: 'unknown';
  /** The type as stated. */
  name: string;
  seq: number | undefined;
}

export type Frame =
  | CommitFrame
  | SyncFrame
  | IdentityFrame
  | AccountFrame
  | InfoFrame
  | ErrorFrame
  | UnknownFrame;

/**
 * Decodes a frame of com.atproto.sync.subscribeRepos: a header and a body in
 * DAG-CBOR (event stream specification). Only types are checked; what a
 * commit claims is checked by `readCommit`.
 *
 * @throws RepoError `bad-frame` with `seq` and `did` where the body has them,
 *   `bad-cbor`, `too-large`
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  const { type, body } = splitFrame(bytes);
  if (type === 'error') return errorFrame(body);
  try {
    switch (type) {
      case '#commit':
        return commitFrame(body);
      case '#sync':
        return { type, ...sequenced(body, 'did'), rev: tid(body, 'rev'), blocks: byteString(body, 'blocks') };
      case '#identity':
        return { type, ...sequenced(body, 'did'), handle: optional(body, 'handle') };
      case '#account':
        return accountFrame(body);
      case '#info':
        return { type, name: text(body, 'name'), message: optional(body, 'message') };
      default:
        return {
          type: 'unknown',
          name: type,
          seq: Number.isSafeInteger(body.seq) ? Number(body.seq) : undefined,
        };
    }
  } catch (error) {
    throw located(error, body);
  }
}

/** Header and body of any event stream's frame; `type` is `error` for op −1. */
export function splitFrame(bytes: Uint8Array): { type: string; body: CborMap } {
  if (bytes.length > MAX_FRAME_BYTES) throw new RepoError('too-large', `a frame of ${bytes.length} bytes`);
  const cursor = new CborCursor(bytes);
  const header = asMap(readValue(cursor), 'the header');
  const body = asMap(readValue(cursor), 'the body');
  if (cursor.at !== cursor.end) throw new RepoError('bad-frame', 'bytes are left over after the body');
  if (header.op === -1) return { type: 'error', body };
  if (header.op !== 1) throw new RepoError('bad-frame', 'the header has neither op 1 nor op -1');
  return { type: text(header, 't'), body };
}

export function errorFrame(body: CborMap): ErrorFrame {
  return { type: 'error', error: text(body, 'error'), message: optional(body, 'message') };
}

function commitFrame(body: CborMap): CommitFrame {
  return {
    type: '#commit',
    ...sequenced(body, 'repo'),
    rev: tid(body, 'rev'),
    since: body.since == null ? null : tid(body, 'since'),
    commit: link(body.commit, 'commit'),
    blocks: byteString(body, 'blocks'),
    ops: list(body, 'ops').map(frameOp),
    prevData: nullableLink(body.prevData, 'prevData'),
    tooBig: body.tooBig === true,
  };
}

function frameOp(value: CborValue): FrameOp {
  const op = asMap(value, 'an operation');
  return {
    action: text(op, 'action'),
    path: text(op, 'path'),
    cid: nullableLink(op.cid, 'cid') ?? null,
    prev: nullableLink(op.prev, 'prev'),
  };
}

function accountFrame(body: CborMap): AccountFrame {
  if (typeof body.active !== 'boolean') wanted('active', 'a boolean');
  return {
    type: '#account',
    ...sequenced(body, 'did'),
    active: body.active,
    status: optional(body, 'status'),
  };
}

function sequenced(body: CborMap, didField: 'did' | 'repo'): Sequenced {
  const did = text(body, didField);
  if (!did.startsWith('did:')) wanted(didField, 'a DID');
  return { seq: sequence(body), time: text(body, 'time'), did };
}

export function sequence(body: CborMap): number {
  const { seq } = body;
  if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 0) wanted('seq', 'a sequence number');
  return seq;
}

function located(error: unknown, body: CborMap): unknown {
  if (!(error instanceof RepoError)) return error;
  const did = body.did ?? body.repo;
  if (typeof body.seq === 'number') error.seq = body.seq;
  if (typeof did === 'string') error.did = did;
  return error;
}

export function asMap(value: CborValue | undefined, name: string): CborMap {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap || value instanceof Uint8Array || value instanceof Cid) wanted(name, 'a map');
  return value as CborMap;
}

export function list(map: CborMap, field: string): CborValue[] {
  const value = map[field];
  if (!Array.isArray(value)) wanted(field, 'a list');
  return value;
}

export function text(map: CborMap, field: string): string {
  const value = map[field];
  if (typeof value !== 'string' || value === '') wanted(field, 'a text');
  return value;
}

export function optional(map: CborMap, field: string): string | undefined {
  return map[field] == null ? undefined : text(map, field);
}

function tid(map: CborMap, field: string): string {
  const value = text(map, field);
  if (!isTid(value)) wanted(field, 'a TID');
  return value;
}

function byteString(map: CborMap, field: string): Buffer {
  const value = map[field];
  if (!Buffer.isBuffer(value)) wanted(field, 'a byte string');
  return value;
}

function link(value: CborValue | undefined, field: string): Cid {
  if (!(value instanceof Cid) || !value.isDagCbor) wanted(field, 'a dag-cbor link');
  return value;
}

function nullableLink(value: CborValue | undefined, field: string): Cid | null | undefined {
  return value == null ? value : link(value, field);
}

function wanted(field: string, what: string): never {
  throw new RepoError('bad-frame', `the frame: ${field} is not ${what}`);
}
