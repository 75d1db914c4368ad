import type { CarReader } from './car.ts';
import { CID_BYTES } from './cid.ts';
import { RepoError } from './errors.ts';
import { type DigestAt, sameDigest } from './node-encoder.ts';
import { NodeSplicer } from './node-splicer.ts';
import { MAX_KEY_BYTES } from './repo-path.ts';
import { layerOf, TreeNode } from './tree-node.ts';

/** Offset of the digest in a CID. */
const DIGEST_AT = CID_BYTES - 32;

/** One operation: what stands at its key, and what stood there before; undefined for nothing. */
export interface Change {
  path: string;
  digest: Uint8Array | undefined;
  prevDigest: Uint8Array | undefined;
}

/** A node, and where the key of the operation is in it. */
class Place {
  readonly node = new TreeNode();
  /** Number of keys below it. */
  i = 0;
  /** Whether entry `i` has that key. */
  found = false;
  /** How much it shares with the keys beside it in this node. */
  below = 0;
  above = 0;
}

/** A key beside the operation's, the nearest one met so far. */
interface Bound {
  key: Buffer;
  length: number;
}

const UNUSUAL = new RepoError('bad-mst', 'left to the general way');

/**
 * Undoes one operation by what it did to the bytes of the nodes: those from
 * the root to its key, and, where it cut a subtree in two or joined two, those
 * along the cut. It says the digest of the root before, or nothing: whatever
 * is unusual or wrong is left to the walk of all pieces, which also says what
 * is wrong.
 *
 * Of the nodes that it reads it checks what a walk checks: form, prefixes,
 * order of keys in the node and against those of its parents, no empty node.
 * Of layers it checks that of the operation's key, and that of one key of the
 * root, from which the layers of all nodes follow. Every other key was in a
 * node of the same layer before, so if the tree before was right in this, so
 * is this one; `prevData` says which tree that was.
 *
 * Beside a key that was put in, a subtree may stand as it stood before: that
 * it holds no key of the other side is checked as far as it is there, though
 * the root before does not depend on it. Other nodes that the blocks may hold
 * are not read. The protocol asks for those that the inversion needs, more do
 * no harm, and no operation has changed them: else the root before would be
 * another.
 */
export class TreeUndo {
  #car!: CarReader;
  #splicer = new NodeSplicer();
  #places: Place[] = [];
  #used = 0;
  /** Bytes of the operation's key. */
  #key = Buffer.alloc(MAX_KEY_BYTES);
  #length = 0;
  #below: Bound = newBound();
  #above: Bound = newBound();
  #nextAbove: Bound = newBound();

  /** Digest of the root before the operation; undefined where that is not to be told this way. */
  undo(car: CarReader, root: Uint8Array, change: Change): DigestAt | undefined {
    try {
      this.#begin(car, change.path);
      return this.#undo(root, change);
    } catch (error) {
      if (error instanceof RepoError) return undefined;
      throw error;
    }
  }

  #begin(car: CarReader, path: string): void {
    this.#car = car;
    this.#used = 0;
    this.#length = this.#key.write(path, 'latin1');
    this.#below.length = 0;
    this.#above.length = -1;
    this.#splicer.key = this.#key;
    this.#splicer.keyLength = this.#length;
  }

  #undo(root: Uint8Array, change: Change): DigestAt {
    const layer = layerOf(this.#key.subarray(0, this.#length));
    let at = this.#enter(root, DIGEST_AT);
    const depth = this.#layerOfRoot(at) - layer;
    if (depth < 0) throw UNUSUAL;
    let d = 0;
    for (; d < depth && !at.found; d++) {
      const link = at.node.gap(at.i);
      if (link === 0) return this.#up(d + 1, this.#newNodes(change, depth - d));
      at = this.#enter(at.node.bytes, link);
    }
    if (d !== depth) throw UNUSUAL;
    return this.#up(d, this.#before(at, change, layer));
  }

  /** By a key that the operation has not touched. */
  #layerOfRoot({ node, i, found }: Place): number {
    if (found && i === 0) {
      if (node.count === 1) throw UNUSUAL;
      return layerOf(this.#above.key.subarray(0, this.#above.length));
    }
    if (node.count === 0) throw UNUSUAL;
    const first = node.suffix(0);
    return layerOf(node.bytes.subarray(first, first + node.suffixLength(0)));
  }

  /** The node of the key as it was before. */
  #before(at: Place, { digest, prevDigest }: Change, layer: number): DigestAt | null {
    const { node, i, found } = at;
    if (found !== (digest !== undefined)) throw UNUSUAL;
    if (digest === undefined) return this.#withEntry(at, prevDigest!, layer);
    if (!sameDigest(digest, node.bytes, node.value(i))) throw UNUSUAL;
    if (prevDigest !== undefined)
      return this.#splicer.exchange(node, node.value(i), { bytes: prevDigest, at: 0 });
    const tree = this.#merged(gapOf(node, i), gapOf(node, i + 1), layer - 1);
    const prefix = i === 0 ? 0 : Math.min(at.below, at.above);
    return this.#splicer.join(node, i, tree, undefined, node, i + 1, prefix);
  }

  #withEntry({ node, i, below, above }: Place, prev: Uint8Array, layer: number): DigestAt | null {
    const [left, right] = this.#split(gapOf(node, i), layer - 1);
    const entry = { prefix: below, value: { bytes: prev, at: 0 }, tree: right };
    return this.#splicer.join(node, i, left, entry, node, i, above);
  }

  /** A deleted key below a node that has nothing there: a node with the key, and nodes without entries above it. */
  #newNodes({ digest, prevDigest }: Change, layers: number): DigestAt | null {
    if (digest !== undefined) throw UNUSUAL;
    const entry = { prefix: 0, value: { bytes: prevDigest!, at: 0 }, tree: null };
    let node = this.#splicer.join(undefined, 0, null, entry, undefined, 0);
    for (let n = 1; n < layers; n++) node = this.#splicer.join(undefined, 0, node, undefined, undefined, 0);
    return node;
  }

  /** The root, with `below` in the place of the node at `depth` on the way to the key. */
  #up(depth: number, below: DigestAt | null): DigestAt {
    let digest = below;
    for (let d = depth - 1; d >= 0; d--) {
      const { node, i } = this.#places[d]!;
      digest = this.#splicer.relink(node, i, digest);
    }
    if (digest === null) throw UNUSUAL;
    return digest;
  }

  /** What two subtrees were before a key came between them. */
  #merged(left: DigestAt | null, right: DigestAt | null, layer: number): DigestAt | null {
    if (left === null || right === null) {
      this.#checkSide(left ?? right, left !== null, layer);
      return left ?? right;
    }
    if (layer < 0) throw UNUSUAL;
    const a = this.#enter(left.bytes, left.at);
    const b = this.#enter(right.bytes, right.at);
    const { count } = a.node;
    if (a.i !== count || b.i !== 0 || b.found) throw UNUSUAL;
    const middle = this.#merged(gapOf(a.node, count), gapOf(b.node, 0), layer - 1);
    const prefix = count === 0 ? 0 : Math.min(a.below, b.above);
    return this.#splicer.join(a.node, count, middle, undefined, b.node, 0, prefix);
  }

  /** That a subtree which was whole before too has its keys on one side, as far as the blocks show it. */
  #checkSide(tree: DigestAt | null, isBelow: boolean, layer: number): void {
    const { index } = this.#car;
    for (let at = tree, l = layer; at !== null; l--) {
      if (l < 0) throw UNUSUAL;
      if (index.find(at.bytes, at.at) < 0) return;
      const { node, i, found } = this.#enter(at.bytes, at.at);
      if (found || i !== (isBelow ? node.count : 0)) throw UNUSUAL;
      at = gapOf(node, i);
    }
  }

  /** The two parts of a subtree, of the keys below and above the operation's. */
  #split(tree: DigestAt | null, layer: number): [DigestAt | null, DigestAt | null] {
    if (tree === null) return [null, null];
    if (layer < 0) throw UNUSUAL;
    const { node, i, found } = this.#enter(tree.bytes, tree.at);
    if (found) throw UNUSUAL;
    const [before, after] = this.#split(gapOf(node, i), layer - 1);
    return [
      this.#splicer.join(node, i, before, undefined, undefined, 0),
      this.#splicer.join(undefined, 0, after, undefined, node, i, 0),
    ];
  }

  /** Reads a node that may hold keys between the present bounds, and narrows them. */
  #enter(bytes: Uint8Array, digestAt: number): Place {
    const { index, store } = this.#car;
    const block = index.find(bytes, digestAt);
    if (block < 0) throw UNUSUAL;
    const used = this.#used++;
    this.#places[used] ??= new Place();
    const place = this.#places[used];
    const length = index.length(block);
    const from = store.read(index.position(block), length);
    place.node.read(from, store.offset, length);
    if (place.node.count === 0 && place.node.left === 0) throw UNUSUAL;
    this.#locate(place);
    return place;
  }

  /** Finds the place of the key; reads all keys of the node, which checks their order and prefixes. */
  #locate(place: Place): void {
    const { node } = place;
    const key = this.#key;
    const length = this.#length;
    place.found = false;
    let shared = 0;
    let i = 0;
    let order = 1;
    for (; i < node.count; i++) {
      node.readKey(i);
      const prefix = node.prefix(i);
      // With more than what the key before shares with it: on the same side as that one.
      if (prefix > shared) order = -1;
      else {
        let n = prefix;
        const least = Math.min(node.keyLength, length);
        while (n < least && node.key[n] === key[n]) n++;
        order = compareAt(node.key, node.keyLength, key, length, n);
        if (order > 0) place.above = n;
        if (order >= 0) break;
        shared = n;
      }
      this.#moveBelow(node, i);
    }
    place.i = i;
    place.below = shared;
    if (i < node.count) this.#readAbove(place, order === 0);
  }

  #moveBelow(node: TreeNode, i: number): void {
    const below = this.#below;
    const { key, keyLength } = node;
    if (i === 0 && compare(below.key, below.length, key, keyLength) >= 0) throw UNUSUAL;
    for (let k = node.prefix(i); k < keyLength; k++) below.key[k] = key[k]!;
    below.length = keyLength;
  }

  /** From entry `i` on, whose key was read. */
  #readAbove(place: Place, found: boolean): void {
    const { node } = place;
    place.found = found;
    let i = place.i + 1;
    if (found) {
      if (i === node.count) return;
      node.readKey(i);
      place.above = Math.min(node.prefix(i), this.#length);
      i++;
    }
    const nearest = this.#nextAbove;
    nearest.length = node.keyLength;
    node.key.copy(nearest.key, 0, 0, node.keyLength);
    for (; i < node.count; i++) node.readKey(i);
    const above = this.#above;
    const isBelow = above.length < 0 || compare(node.key, node.keyLength, above.key, above.length) < 0;
    if (!isBelow) throw UNUSUAL;
    this.#above = nearest;
    this.#nextAbove = above;
  }
}

function newBound(): Bound {
  return { key: Buffer.alloc(MAX_KEY_BYTES), length: 0 };
}

function compare(a: Buffer, aLength: number, b: Buffer, bLength: number): number {
  const least = Math.min(aLength, bLength);
  let n = 0;
  while (n < least && a[n] === b[n]) n++;
  return compareAt(a, aLength, b, bLength, n);
}

/** Order of two keys that share `n` bytes and no more. */
function compareAt(a: Buffer, aLength: number, b: Buffer, bLength: number, n: number): number {
  return n < aLength && n < bLength ? a[n]! - b[n]! : aLength - bLength;
}

function gapOf(node: TreeNode, i: number): DigestAt | null {
  const at = node.gap(i);
  return at === 0 ? null : { bytes: node.bytes, at };
}
