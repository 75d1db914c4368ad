import {
  type DigestAt,
  digestOf,
  LARGEST_ENTRY,
  LARGEST_LINK,
  NAME,
  writeHead,
  writeLinkOrNull,
} from './node-encoder.ts';
import type { TreeNode } from './tree-node.ts';

/** An entry that is put in. */
export interface NewEntry {
  /** How much of the key it shares with the entry before. */
  prefix: number;
  value: DigestAt;
  /** The subtree after it. */
  tree: DigestAt | null;
}

/**
 * Makes nodes of the tree out of the bytes of others, for a change at one
 * key: what is not near the key is copied as it stands. The nodes were read,
 * so that their form is the canonical one; and it stays so, since all keys
 * before the cut are below `key` and all after it above: what the first key
 * after it shares with one before it are bytes of `key`.
 */
export class NodeSplicer {
  key = Buffer.alloc(0);
  keyLength = 0;
  #out = Buffer.allocUnsafeSlow(16 * 1024);
  #length = 0;

  /** The node with another subtree, or none, before entry `i`; null where nothing is left of it. */
  relink(node: TreeNode, i: number, tree: DigestAt | null): DigestAt | null {
    const old = node.gap(i);
    if (tree === null || old === 0) return this.join(node, i, tree, undefined, node, i);
    return this.exchange(node, old, tree);
  }

  /** The node with another digest in the place of the one at `at`. */
  exchange(node: TreeNode, at: number, { bytes, at: from }: DigestAt): DigestAt {
    this.#begin(node.end - node.start);
    this.#copy(node.bytes, node.start, node.end);
    const out = this.#out;
    for (let i = 0, o = at - node.start; i < 32; i++, o++) out[o] = bytes[from + i]!;
    return this.#digest();
  }

  /**
   * The node of the entries of `head` up to `to`, `entry`, and those of
   * `tail` from `from` on. The subtree `middle` stands before `entry`, or
   * between the two where there is none. The first key of the tail has a
   * prefix of `prefix` bytes then, or the one that it has. Null where
   * nothing is in it.
   */
  join(
    head: TreeNode | undefined,
    to: number,
    middle: DigestAt | null,
    entry: NewEntry | undefined,
    tail: TreeNode | undefined,
    from: number,
    prefix?: number,
  ): DigestAt | null {
    const rest = tail === undefined ? 0 : tail.count - from;
    const count = to + (entry === undefined ? 0 : 1) + rest;
    const left = to === 0 ? middle : head!.left === 0 ? null : { bytes: head!.bytes, at: head!.left };
    if (count === 0 && left === null) return null;
    const room =
      (head === undefined ? 0 : head.end - head.start) + (tail === undefined ? 0 : tail.end - tail.start);
    this.#begin(room);
    const out = this.#out;
    out[0] = 0xa2;
    out[1] = 0x61;
    out[2] = NAME.e;
    this.#length = writeHead(out, 3, 4, count);
    if (to > 0) this.#head(head!, to, middle);
    if (entry !== undefined) this.#entry(entry);
    if (rest > 0) this.#tail(tail!, from, prefix ?? tail!.prefix(from));
    out[this.#length++] = 0x61;
    out[this.#length++] = NAME.l;
    this.#length = writeLinkOrNull(out, this.#length, left);
    return this.#digest();
  }

  #begin(room: number): void {
    this.#length = 0;
    // A key may be spelled out, an entry be put in.
    const most = room + 2 * (LARGEST_ENTRY + LARGEST_LINK + this.keyLength);
    if (this.#out.length < most) this.#out = Buffer.allocUnsafeSlow(most * 2);
  }

  #copy(bytes: Buffer, from: number, to: number): void {
    bytes.copy(this.#out, this.#length, from, to);
    this.#length += to - from;
  }

  #head(node: TreeNode, to: number, tree: DigestAt | null): void {
    const linkEnd = node.gapEnd(to);
    this.#copy(node.bytes, node.first, linkEnd - (node.gap(to) === 0 ? 1 : LARGEST_LINK));
    this.#length = writeLinkOrNull(this.#out, this.#length, tree);
    this.#copy(node.bytes, linkEnd, node.entryStart(to));
  }

  #entry({ prefix, value, tree }: NewEntry): void {
    this.#beginEntry(this.keyLength - prefix);
    this.#copy(this.key, prefix, this.keyLength);
    this.#endKey(prefix);
    const out = this.#out;
    out[this.#length++] = 0x61;
    out[this.#length++] = NAME.t;
    let o = writeLinkOrNull(out, this.#length, tree);
    out[o++] = 0x61;
    out[o++] = NAME.v;
    this.#length = writeLinkOrNull(out, o, value);
  }

  #tail(node: TreeNode, from: number, prefix: number): void {
    const { bytes } = node;
    const end = node.entryStart(node.count);
    const old = node.prefix(from);
    if (prefix === old) {
      this.#copy(bytes, node.entryStart(from), end);
      return;
    }
    const suffix = node.suffix(from);
    const suffixEnd = suffix + node.suffixLength(from);
    this.#beginEntry(old - prefix + node.suffixLength(from));
    if (prefix < old) this.#copy(this.key, prefix, old);
    this.#copy(bytes, suffix + Math.max(prefix - old, 0), suffixEnd);
    this.#endKey(prefix);
    const linkEnd = node.gapEnd(from + 1);
    this.#copy(bytes, linkEnd - (node.tree(from) === 0 ? 1 : LARGEST_LINK) - 2, end);
  }

  #beginEntry(length: number): void {
    const out = this.#out;
    let o = this.#length;
    out[o++] = 0xa4;
    out[o++] = 0x61;
    out[o++] = NAME.k;
    this.#length = writeHead(out, o, 2, length);
  }

  #endKey(prefix: number): void {
    const out = this.#out;
    out[this.#length] = 0x61;
    out[this.#length + 1] = NAME.p;
    this.#length = writeHead(out, this.#length + 2, 0, prefix);
  }

  #digest(): DigestAt {
    return digestOf(this.#out.subarray(0, this.#length));
  }
}
