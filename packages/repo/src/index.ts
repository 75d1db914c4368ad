/**
 * The reader of repos, commits and event streams: bytes from the network in,
 * verified records as lexicon JSON text out.
 *
 * Owns: CAR v1, DAG-CBOR, the tree (MST), signed commits, frames of the
 * firehose and of labelers, TIDs, and every check that needs nothing but the
 * bytes and a key. Refuses to know: where bytes come from, DID documents,
 * Redis, PostgreSQL, lexicons. Keeps no state but the unlinked temporary file
 * of a large repo, so a crash can neither repeat nor lose anything here.
 *
 * Bytes that can't be believed are a RepoError with a reason, whatever they
 * are; every other error is a fault of the disk, the source or this package.
 */

export { CarReader, readCarBytes } from './car.ts';
export { type CborMap, type CborValue, decodeCbor } from './cbor.ts';
export { Cid } from './cid.ts';
export { type Commit, decodeCommit } from './commit.ts';
export {
  type CommitEvent,
  type CommitOp,
  readCommit,
  readSync,
  type SignedState,
} from './commit-event.ts';
export { RepoError, type RepoErrorReason } from './errors.ts';
export {
  type AccountFrame,
  type CommitFrame,
  decodeFrame,
  type ErrorFrame,
  type Frame,
  type FrameOp,
  type IdentityFrame,
  type InfoFrame,
  type SyncFrame,
  type UnknownFrame,
} from './frame.ts';
export { checkCommit } from './inversion.ts';
export { JsonBytes } from './json-bytes.ts';
export { LABEL_VERSION, unsignedLabel } from './label-bytes.ts';
export { decodeLabelFrame, type LabelFrame, type LabelsFrame } from './label-frame.ts';
export { cborToJson, MAX_RECORD_BYTES, recordToJson } from './lexicon-json.ts';
export { isNsid, splitPath } from './repo-path.ts';
export { verifySignature } from './signature.ts';
export { type OpenRepoOptions, openRepo, type RepoRecord, RepoSnapshot } from './snapshot.ts';
export { compareTids, isFutureTid, isTid, MAX_CLOCK_AHEAD_MS, tidAt, tidTime } from './tid.ts';
