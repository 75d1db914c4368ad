import { RepoError } from './errors.ts';
import { type DigestAt, NodeEncoder } from './node-encoder.ts';
import { layerOf } from './tree-node.ts';
import type { TreeVisitor } from './tree-walk.ts';

/** One key with its record, or a whole subtree of which only the digest is known. */
interface Piece extends DigestAt {
  /** Where its key is among the keys; −1 for a subtree. */
  key: number;
  length: number;
  layer: number;
}

const encoder = new NodeEncoder();

/**
 * A tree of which only the blocks near some keys are known, as the sequence
 * of its pieces. In order they determine the tree, since its form is
 * canonical: a piece can be taken out, changed or put in, and `root` gives
 * the digest of what that makes.
 */
export class TreePieces implements TreeVisitor {
  #pieces: Piece[] = [];
  /** The keys of all pieces, one after the other. */
  #keys = Buffer.allocUnsafeSlow(16 * 1024);
  #keysLength = 0;

  /** Begins anew with no pieces, which saves the making of its buffers. */
  begin(): this {
    this.#pieces = [];
    this.#keysLength = 0;
    return this;
  }

  /** @internal called by the walk, in order */
  entry(
    key: Buffer,
    keyLength: number,
    _shared: number,
    layer: number,
    bytes: Buffer,
    valueAt: number,
  ): void {
    const start = this.#addKey(key, keyLength);
    this.#pieces.push({ key: start, length: keyLength, layer, bytes, at: valueAt });
  }

  /** @internal called by the walk, in order */
  absent(bytes: Buffer, digestAt: number, layer: number): void {
    this.#pieces.push({ key: -1, length: 0, layer, bytes, at: digestAt });
  }

  #addKey(key: Uint8Array, length: number): number {
    const start = this.#keysLength;
    if (start + length > this.#keys.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#keys.length * 2, start + length));
      this.#keys.copy(larger, 0, 0, start);
      this.#keys = larger;
    }
    for (let i = 0; i < length; i++) this.#keys[start + i] = key[i]!;
    this.#keysLength = start + length;
    return start;
  }

  /**
   * Changes the tree at some keys, which come in ascending order: `change`
   * gets the record at the key (undefined where there is none, `unknown`
   * where that can't be told from these blocks) and returns what shall stand
   * there, or undefined for nothing.
   */
  change(
    keys: readonly string[],
    change: (i: number, found: DigestAt | 'unknown' | undefined) => DigestAt | undefined,
  ): void {
    const before = this.#pieces;
    const after: Piece[] = [];
    let next = 0;
    // Whether a subtree lies between the last known key and the next one.
    let unknown = false;
    for (const [i, key] of keys.entries()) {
      let order = 1;
      for (; next < before.length; next++) {
        const piece = before[next]!;
        order = piece.key < 0 ? -1 : this.#compare(piece, key);
        if (order >= 0) break;
        unknown = piece.key < 0;
        after.push(piece);
      }
      const found = next < before.length && order === 0 ? before[next++] : undefined;
      if (found !== undefined) unknown = false;
      const wanted = change(i, found ?? (unknown ? 'unknown' : undefined));
      if (wanted !== undefined) after.push(this.#pieceOf(key, found, wanted));
    }
    for (; next < before.length; next++) after.push(before[next]!);
    this.#pieces = after;
  }

  #compare({ key, length }: Piece, text: string): number {
    const keys = this.#keys;
    const shorter = Math.min(length, text.length);
    for (let i = 0; i < shorter; i++) {
      const difference = keys[key + i]! - text.charCodeAt(i);
      if (difference !== 0) return difference;
    }
    return length - text.length;
  }

  #pieceOf(key: string, found: Piece | undefined, { bytes, at }: DigestAt): Piece {
    if (found !== undefined) return { ...found, bytes, at };
    const text = Buffer.from(key, 'latin1');
    return { key: this.#addKey(text, text.length), length: text.length, layer: layerOf(text), bytes, at };
  }

  /**
   * Digest of the root of the tree.
   *
   * @throws RepoError `missing-block` where a subtree would have to be opened for it
   */
  root(): DigestAt {
    const pieces = this.#pieces;
    let top = 0;
    for (const { layer } of pieces) top = Math.max(top, layer);
    if (pieces.length > 0) return this.#node(0, pieces.length, top)!;
    encoder.begin(0);
    return encoder.digest(null);
  }

  /** Digest of the node at `layer` that holds the pieces from `from` to `to`; null for none. */
  #node(from: number, to: number, layer: number): DigestAt | null {
    if (from === to) return null;
    const pieces = this.#pieces;
    const first = pieces[from]!;
    if (first.key < 0 && first.layer === layer && to - from === 1) return first;
    // The subtrees come first, since they use the same encoder: the left one, then one after each key.
    const trees: (DigestAt | null)[] = [];
    const own: Piece[] = [];
    let begin = from;
    for (let i = from; i < to; i++) {
      const piece = pieces[i]!;
      if (piece.layer < layer) continue;
      if (piece.key < 0) {
        throw new RepoError('missing-block', 'the blocks lack a node that undoing the operations needs');
      }
      trees.push(this.#node(begin, i, layer - 1));
      own.push(piece);
      begin = i + 1;
    }
    trees.push(this.#node(begin, to, layer - 1));
    return this.#encode(own, trees);
  }

  #encode(own: readonly Piece[], trees: readonly (DigestAt | null)[]): DigestAt {
    encoder.begin(own.length);
    for (let i = 0; i < own.length; i++) {
      const piece = own[i]!;
      encoder.add(this.#keys, piece.key, piece.length, trees[i + 1]!, piece);
    }
    return encoder.digest(trees[0]!);
  }
}
