import { CborCursor, type CborMap, decodeCbor, MAJOR, skipValue } from './cbor.ts';
import { Cid } from './cid.ts';
import { RepoError } from './errors.ts';
import { isTid } from './tid.ts';

export const COMMIT_VERSION = 3;
/** The text `sig`. */
const SIG = Buffer.from('\x63sig', 'latin1');

/** A signed commit, version 3 (repository specification). */
export interface Commit {
  did: string;
  /** TID of the commit. */
  rev: string;
  /** Root of the tree. */
  data: Cid;
  /** Nearly always null; kept since the signature covers it. */
  prev: Cid | null;
  /** Compact signature: r and s, 32 bytes each. */
  sig: Uint8Array;
  /** What the signature covers: the canonical CBOR of the commit without `sig`. */
  unsigned: Uint8Array;
}

/**
 * Decodes a signed commit block. Its bytes are kept as views or copies of the
 * caller's, whichever is needed; the signature is not verified here.
 *
 * @throws RepoError `bad-commit`
 */
export function decodeCommit(bytes: Uint8Array): Commit {
  const map = commitMap(bytes);
  const { did, rev, version, data, prev, sig } = map;
  if (version !== COMMIT_VERSION) bad('version', `${COMMIT_VERSION}`);
  if (typeof did !== 'string' || !did.startsWith('did:')) bad('did', 'a DID');
  if (typeof rev !== 'string' || !isTid(rev)) bad('rev', 'a TID');
  if (!(data instanceof Cid) || !data.isDagCbor) bad('data', 'a dag-cbor link');
  if (prev !== null && !(prev instanceof Cid)) bad('prev', 'a link or null');
  if (!(sig instanceof Uint8Array)) bad('sig', 'bytes');
  return { did, rev, data, prev, sig, unsigned: withoutSignature(bytes) };
}

function commitMap(bytes: Uint8Array): CborMap {
  let value: unknown;
  try {
    value = decodeCbor(bytes);
  } catch (cause) {
    throw new RepoError('bad-commit', 'the commit block is not canonical DAG-CBOR', { cause });
  }
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isMap || value instanceof Cid || value instanceof Uint8Array) bad('the block', 'a map');
  return value as CborMap;
}

/**
 * Since the block is canonical (checked before), leaving the entry out and
 * lowering the count in the head is the canonical encoding of the rest.
 */
function withoutSignature(bytes: Uint8Array): Uint8Array {
  const cursor = new CborCursor(bytes);
  cursor.readHead();
  const count = cursor.argument;
  if (count > 23) bad('the block', 'a map of less than 24 entries');
  for (let i = 0; i < count; i++) {
    const start = cursor.at;
    skipValue(cursor);
    const isSignature = cursor.at - start === SIG.length && SIG.every((byte, k) => byte === bytes[start + k]);
    skipValue(cursor);
    if (!isSignature) continue;
    const unsigned = Buffer.allocUnsafe(bytes.length - (cursor.at - start));
    unsigned.set(bytes.subarray(0, start));
    unsigned.set(bytes.subarray(cursor.at), start);
    unsigned[0] = (MAJOR.map << 5) | (count - 1);
    return unsigned;
  }
  return bad('sig', 'there');
}

function bad(field: string, wanted: string): never {
  throw new RepoError('bad-commit', `the commit: ${field} is not ${wanted}`);
}
