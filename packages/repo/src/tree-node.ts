import { hash } from 'node:crypto';
import { MAJOR } from './cbor.ts';
import { RepoError } from './errors.ts';
import { MAX_KEY_BYTES } from './repo-path.ts';

/** A link in CBOR to a dag-cbor block, up to its digest. */
const LINK_HEAD = Buffer.from('d82a58250001711220', 'hex');
const DIGEST = 32;
const NULL = 0xf6;
/** Bytes from the end of an entry's subtree to the digest of its record: the field's name, the link's head. */
const VALUE_HEAD = 2 + LINK_HEAD.length;
const FIELDS = 5;
/** Bytes of the shortest entry. */
const LEAST_ENTRY = 52;

/**
 * A node of the tree (MST, repository specification), read into flat arrays:
 * `{"e": [{"k": bytes, "p": uint, "t": link|null, "v": link}], "l": link|null}`.
 * One object serves for many nodes, one after the other.
 */
export class TreeNode {
  bytes: Buffer = Buffer.alloc(0);
  count = 0;
  /** Offset of the digest of the left subtree, 0 where there is none. */
  left = 0;
  /** Offset of the first entry. */
  first = 0;
  start = 0;
  end = 0;
  #fields = new Int32Array(FIELDS * 16);
  /** How far it is read. */
  #at = 0;
  /** The key read last by `readKey`. */
  key = Buffer.alloc(MAX_KEY_BYTES);
  keyLength = 0;

  /**
   * Reads a node. `bytes` must stay as they are while the node is in use.
   *
   * @throws RepoError `bad-mst` for any other form than the one above
   */
  read(bytes: Buffer, start: number, length: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = start + length;
    this.keyLength = 0;
    this.#at = start;
    this.#expect(0xa2);
    this.#expectName(0x65);
    const count = this.#argument(MAJOR.list);
    if (count > length / LEAST_ENTRY) malformed();
    this.count = count;
    this.first = this.#at;
    if (count * FIELDS > this.#fields.length) this.#fields = new Int32Array(count * FIELDS * 2);
    for (let i = 0; i < count; i++) this.#readEntry(i * FIELDS);
    this.#expectName(0x6c);
    this.left = this.#linkOrNull();
    // All steps lead forward, so that none was past the end if this one is not.
    if (this.#at !== this.end) malformed();
  }

  #readEntry(at: number): void {
    const fields = this.#fields;
    this.#expect(0xa4);
    this.#expectName(0x6b);
    const length = this.#argument(MAJOR.bytes);
    fields[at + 1] = this.#at;
    fields[at + 2] = length;
    this.#at += length;
    this.#expectName(0x70);
    fields[at] = this.#argument(MAJOR.unsigned);
    this.#expectName(0x74);
    fields[at + 3] = this.#linkOrNull();
    this.#expectName(0x76);
    const value = this.#linkOrNull();
    if (value === 0) malformed();
    fields[at + 4] = value;
  }

  #expect(byte: number): void {
    if (this.bytes[this.#at++] !== byte) malformed();
  }

  #expectName(letter: number): void {
    const { bytes } = this;
    const at = this.#at;
    if (bytes[at] !== 0x61 || bytes[at + 1] !== letter) malformed();
    this.#at = at + 2;
  }

  /** The argument of a head in its shortest form. No count or length in a node needs more than 16 bits. */
  #argument(major: number): number {
    const { bytes } = this;
    const at = this.#at;
    const first = bytes[at]!;
    if (first >> 5 !== major) malformed();
    const info = first & 31;
    if (info < 24) {
      this.#at = at + 1;
      return info;
    }
    const isShort = info === 24;
    const value = isShort ? bytes[at + 1]! : (bytes[at + 1]! << 8) | bytes[at + 2]!;
    if (info > 25 || value < (isShort ? 24 : 256)) malformed();
    this.#at = at + (isShort ? 2 : 3);
    return value;
  }

  #linkOrNull(): number {
    const { bytes } = this;
    const at = this.#at;
    if (bytes[at] === NULL) {
      this.#at = at + 1;
      return 0;
    }
    for (let i = 0; i < LINK_HEAD.length; i++) if (bytes[at + i] !== LINK_HEAD[i]) malformed();
    const digest = at + LINK_HEAD.length;
    this.#at = digest + DIGEST;
    return digest;
  }

  /** Offset of the digest of the subtree after entry `i`, 0 where there is none. */
  tree(i: number): number {
    return this.#fields[i * FIELDS + 3]!;
  }

  /** Offset of the digest of the record of entry `i`. */
  value(i: number): number {
    return this.#fields[i * FIELDS + 4]!;
  }

  /** How many bytes the key of entry `i` shares with the one before. */
  prefix(i: number): number {
    return this.#fields[i * FIELDS]!;
  }

  /** Offset of the bytes of the key of entry `i` that follow its prefix. */
  suffix(i: number): number {
    return this.#fields[i * FIELDS + 1]!;
  }

  suffixLength(i: number): number {
    return this.#fields[i * FIELDS + 2]!;
  }

  /** Offset of the digest of the subtree before entry `i` and after the one before it, 0 where there is none. */
  gap(i: number): number {
    return i === 0 ? this.left : this.tree(i - 1);
  }

  /** Where the link or null of that subtree ends. */
  gapEnd(i: number): number {
    return i === 0 ? this.end : this.value(i - 1) - VALUE_HEAD;
  }

  /** Where entry `i` begins; for `i` of `count` where the last one ends. */
  entryStart(i: number): number {
    return i === 0 ? this.first : this.value(i - 1) + DIGEST;
  }

  /**
   * Puts the key of entry `i` into `key`; entries are to be read in order,
   * since each shares a prefix with the one before. The prefix must be the
   * longest one: there is one form only for a tree.
   *
   * @throws RepoError `bad-mst`
   */
  readKey(i: number): void {
    const at = i * FIELDS;
    const prefix = this.#fields[at]!;
    const from = this.#fields[at + 1]!;
    const length = this.#fields[at + 2]!;
    const before = this.keyLength;
    if (prefix > before || (i === 0 && prefix !== 0)) malformed();
    if (length === 0 || prefix + length > MAX_KEY_BYTES) malformed();
    const { key, bytes } = this;
    if (prefix < before && bytes[from]! <= key[prefix]!) malformed();
    for (let k = 0; k < length; k++) key[prefix + k] = bytes[from + k]!;
    this.keyLength = prefix + length;
  }
}

/** Layer of a key: the pairs of zero bits at the beginning of its sha-256. */
export function layerOf(key: Uint8Array): number {
  const digest = hash('sha256', key, 'binary');
  let i = 0;
  while (i < digest.length && digest.charCodeAt(i) === 0) i++;
  // A byte has 24 leading zeros more than its 8 bits when it is taken as 32.
  return i === digest.length ? 4 * i : 4 * i + ((Math.clz32(digest.charCodeAt(i)) - 24) >> 1);
}

function malformed(): never {
  throw new RepoError(
    'bad-mst',
    'a node of the tree has not the form of a node, or its keys are out of order',
  );
}
