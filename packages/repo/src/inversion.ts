import { cidText } from './cid.ts';
import type { CommitEvent, CommitOp } from './commit-event.ts';
import { RepoError } from './errors.ts';
import { type DigestAt, type NodeEntry, nodeDigest } from './node-encoder.ts';
import { latin1Text } from './text.ts';
import { layerOf } from './tree-node.ts';
import { type TreeVisitor, TreeWalk } from './tree-walk.ts';

const DIGEST_AT = 4;
const scratch = Buffer.from(`01711220${'00'.repeat(32)}`, 'hex');

/**
 * A piece of a tree of which only the blocks near its changes are known: a
 * key with its record, or (key null) a whole subtree of which only the digest
 * is known. In order, pieces determine the tree, since its form is canonical.
 */
interface Piece extends DigestAt {
  key: string | null;
  layer: number;
}

/**
 * Checks a commit event against its tree (Sync v1.1): every record that it
 * claims is there, every deleted one is not, and undoing its operations gives
 * `prevData`. `legacy` where the event lacks `prevData` or an operation its
 * `prev`: then only what it has is checked.
 *
 * Whether `prevData` is what we hold is the caller's to compare, as is the
 * signature.
 *
 * @throws RepoError `bad-commit-event`, `bad-inversion`, `bad-mst`, `missing-block` with `seq` and `did`
 */
export function checkCommit(event: CommitEvent): 'verified' | 'legacy' {
  try {
    return check(event);
  } catch (error) {
    if (error instanceof RepoError) {
      error.seq = event.seq;
      error.did = event.did;
    }
    throw error;
  }
}

function check(event: CommitEvent): 'verified' | 'legacy' {
  const pieces = piecesOf(event);
  const legacy = event.prevData === null || event.ops.some((op) => op.prev === undefined);
  const before = undo(pieces, event.ops, legacy);
  if (legacy) return 'legacy';
  const root = rebuild(before);
  if (cidOfDigest(root) !== event.prevData) {
    throw new RepoError('bad-inversion', 'undoing the operations does not give prevData');
  }
  return 'verified';
}

class Pieces implements TreeVisitor {
  readonly list: Piece[] = [];

  entry(key: Buffer, keyLength: number, layer: number, bytes: Buffer, valueAt: number): void {
    this.list.push({ key: latin1Text(key, 0, keyLength), layer, bytes, at: valueAt });
  }

  absent(bytes: Buffer, digestAt: number, layer: number): void {
    this.list.push({ key: null, layer, bytes, at: digestAt });
  }
}

/** One walk serves all commits, since none is left half-way. */
const walk = new TreeWalk();

function piecesOf({ car, root }: CommitEvent): Piece[] {
  const pieces = new Pieces();
  walk.begin(car.index, car.store, root.data, pieces).step(Number.POSITIVE_INFINITY);
  return pieces.list;
}

/** The pieces before the operations: one pass over both, sorted by key. */
function undo(pieces: readonly Piece[], ops: readonly CommitOp[], legacy: boolean): Piece[] {
  const before: Piece[] = [];
  // Whether an unknown subtree lies between the last known key and the next one.
  let unknown = false;
  let next = 0;
  const takeUntil = (path: string | null) => {
    for (; next < pieces.length; next++) {
      const piece = pieces[next]!;
      if (piece.key !== null && path !== null && piece.key >= path) return;
      unknown = piece.key === null;
      before.push(piece);
    }
  };
  for (const op of ops.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    takeUntil(op.path);
    const found = pieces[next]?.key === op.path ? pieces[next]! : undefined;
    if (found !== undefined) {
      next++;
      unknown = false;
    } else if (unknown) {
      if (legacy) continue;
      throw new RepoError('missing-block', `the blocks do not show ${op.path} in the tree`);
    }
    const piece = undone(op, found);
    if (piece !== undefined) before.push(piece);
  }
  takeUntil(null);
  return before;
}

/** What stands at the operation's path before it; undefined for nothing. */
function undone(op: CommitOp, found: Piece | undefined): Piece | undefined {
  if (op.action === 'delete') {
    if (found !== undefined) contradicts(op, 'deleted, and still in the tree');
  } else if (found === undefined) contradicts(op, 'not in the tree');
  else if (cidOfDigest(found) !== op.cid) contradicts(op, 'another record in the tree');
  if (op.prev == null) return undefined;
  const layer = found?.layer ?? layerOf(Buffer.from(op.path, 'latin1'));
  return { key: op.path, layer, bytes: op.prevDigest!, at: 0 };
}

function contradicts(op: CommitOp, what: string): never {
  throw new RepoError('bad-commit-event', `${op.path} is ${what}`);
}

/** Digest of the root of the tree of these pieces. */
function rebuild(pieces: readonly Piece[]): DigestAt {
  if (pieces.length === 0) return nodeDigest(null, []);
  const top = pieces.reduce((layer, piece) => Math.max(layer, piece.layer), 0);
  return buildNode(pieces, 0, pieces.length, top)!;
}

/** Digest of the node at `layer` that holds the pieces from `from` to `to`; null for none. */
function buildNode(pieces: readonly Piece[], from: number, to: number, layer: number): DigestAt | null {
  if (from === to) return null;
  const first = pieces[from]!;
  if (first.key === null && first.layer === layer && to - from === 1) return first;
  const entries: NodeEntry[] = [];
  let left: DigestAt | null = null;
  let begin = from;
  for (let i = from; i <= to; i++) {
    const piece = i < to ? pieces[i]! : undefined;
    if (piece !== undefined && piece.layer < layer) continue;
    if (piece?.key === null) {
      throw new RepoError('missing-block', 'the blocks lack a node that undoing the operations needs');
    }
    const subtree = buildNode(pieces, begin, i, layer - 1);
    if (entries.length === 0) left = subtree;
    else entries.at(-1)!.tree = subtree;
    if (piece !== undefined) entries.push({ key: piece.key, value: piece, tree: null });
    begin = i + 1;
  }
  return nodeDigest(left, entries);
}

function cidOfDigest({ bytes, at }: DigestAt): string {
  for (let i = 0; i < 32; i++) scratch[DIGEST_AT + i] = bytes[at + i]!;
  return cidText(scratch);
}
