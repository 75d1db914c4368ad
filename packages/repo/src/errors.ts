/** Why bytes from the network were refused. The label of metrics and dead letters. */
export type RepoErrorReason =
  /** The stream or the frame ended in the middle. */
  | 'truncated'
  /** A CID is referred to whose block is not there. */
  | 'missing-block'
  /** A block's bytes do not hash to its CID. */
  | 'bad-hash'
  /** The CAR's header or framing is not CAR v1 with one root. */
  | 'bad-car'
  /** A block's CID is not v1, dag-cbor or raw, sha-256. */
  | 'bad-cid'
  /** Not canonical DAG-CBOR. */
  | 'bad-cbor'
  /** A size cap was passed. */
  | 'too-large'
  /** The commit block lacks a field or has one of a wrong form. */
  | 'bad-commit'
  /** The commit says that it was made more than five minutes ahead of now. */
  | 'future-rev'
  /** The commit is another account's. */
  | 'wrong-did'
  | 'bad-signature'
  /** The signing key is not a did:key of a supported curve. */
  | 'bad-key'
  /** The tree is out of order, at a wrong layer, shares nodes or is not in its one canonical form. */
  | 'bad-mst'
  /** A key of the tree is not `collection/rkey`. */
  | 'bad-path'
  /** A record is not a map, or holds what lexicon JSON can't say. */
  | 'bad-record'
  /** A frame's header or body is not what its type promises. */
  | 'bad-frame'
  /** A commit event contradicts its own blocks. */
  | 'bad-commit-event'
  /** Undoing a commit's operations does not give the tree it says it came from. */
  | 'bad-inversion';

/**
 * Bytes from the network that can't be believed. Retrying the same bytes
 * gives the same error; faults of disk or connection are never a RepoError.
 */
export class RepoError extends Error {
  override name = 'RepoError';
  reason: RepoErrorReason;
  /** Number of the frame and account that it is about, where a frame says so. */
  seq?: number;
  did?: string;

  constructor(reason: RepoErrorReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}
