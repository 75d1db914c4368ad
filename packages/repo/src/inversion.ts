import { cidText } from './cid.ts';
import type { CommitEvent, CommitOp } from './commit-event.ts';
import { RepoError } from './errors.ts';
import { type DigestAt, sameDigest } from './node-encoder.ts';
import { TreePieces } from './tree-pieces.ts';
import { TreeUndo } from './tree-undo.ts';
import { TreeWalk } from './tree-walk.ts';

const DIGEST_AT = 4;
const scratch = Buffer.from(`01711220${'00'.repeat(32)}`, 'hex');
/** One walk and one set of pieces serve all commits, since none is left half-way. */
const walk = new TreeWalk();
const allPieces = new TreePieces();
const treeUndo = new TreeUndo();

/**
 * Checks a commit event against its tree (Sync v1.1): every record that it
 * claims is there, every deleted one is not, and undoing its operations gives
 * `prevData`. `legacy` where the event lacks `prevData` or an operation its
 * `prev`: then only what it has is checked.
 *
 * An event of one operation goes the short way (`TreeUndo`), which reads the
 * nodes that the operation needs and leaves the layers of other keys to
 * whoever verified the tree before. All others, and whatever the short way
 * makes nothing of, go the general one, which reads all nodes that are there
 * and says what is wrong.
 *
 * Whether `prevData` is what we hold is the caller's to compare, as is the
 * signature.
 *
 * @throws RepoError `bad-commit-event`, `bad-inversion`, `bad-mst`, `missing-block` with `seq` and `did`
 */
export function checkCommit(event: CommitEvent): 'verified' | 'legacy' {
  try {
    return isUndone(event) ? 'verified' : checkPieces(event);
  } catch (error) {
    if (error instanceof RepoError) {
      error.seq = event.seq;
      error.did = event.did;
    }
    throw error;
  }
}

/** Whether the event is right by the short way, which most events can go: those of one operation. */
function isUndone({ car, root, ops, prevDataDigest }: CommitEvent): boolean {
  if (prevDataDigest === undefined || ops.length !== 1 || ops[0]!.prev === undefined) return false;
  const before = treeUndo.undo(car, root.data.bytes, ops[0]!);
  return before !== undefined && sameDigest(prevDataDigest, before.bytes, before.at);
}

/** The general way: all of the tree that the event shows. */
export function checkPieces({ car, root, ops, prevData }: CommitEvent): 'verified' | 'legacy' {
  const legacy = prevData === null || ops.some((op) => op.prev === undefined);
  const pieces = allPieces.begin();
  walk.begin(car.index, car.store, root.data, pieces).step(Number.POSITIVE_INFINITY);
  const sorted = ops.length === 1 ? ops : ops.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const undo = (i: number, found: DigestAt | 'unknown' | undefined) => before(sorted[i]!, found, legacy);
  pieces.change(
    sorted.map((op) => op.path),
    undo,
  );
  if (legacy) return 'legacy';
  if (cidOfDigest(pieces.root()) !== prevData) {
    throw new RepoError('bad-inversion', 'undoing the operations does not give prevData');
  }
  return 'verified';
}

/** What stood at the operation's path before it; undefined for nothing. */
function before(
  op: CommitOp,
  found: DigestAt | 'unknown' | undefined,
  legacy: boolean,
): DigestAt | undefined {
  if (found === 'unknown') {
    if (legacy) return undefined;
    throw new RepoError('missing-block', `the blocks do not show ${op.path} in the tree`);
  }
  if (op.action === 'delete') {
    if (found !== undefined) contradicts(op, 'deleted, and still in the tree');
  } else if (found === undefined) contradicts(op, 'not in the tree');
  else if (cidOfDigest(found) !== op.cid) contradicts(op, 'another record in the tree');
  return op.prevDigest === undefined ? undefined : { bytes: op.prevDigest, at: 0 };
}

function contradicts(op: CommitOp, what: string): never {
  throw new RepoError('bad-commit-event', `${op.path} is ${what}`);
}

function cidOfDigest({ bytes, at }: DigestAt): string {
  for (let i = 0; i < 32; i++) scratch[DIGEST_AT + i] = bytes[at + i]!;
  return cidText(scratch);
}
