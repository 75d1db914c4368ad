import { hash } from 'node:crypto';

const LINK_HEAD = Buffer.from('d82a58250001711220', 'hex');
const DIGEST = 32;
/** A link of 41 bytes, or null. */
export const LARGEST_LINK = LINK_HEAD.length + DIGEST;
/** An entry without its key: heads, names of its fields, two links. */
export const LARGEST_ENTRY = 32 + 2 * LARGEST_LINK;
/** The names of a node's fields. */
export const NAME = { e: 0x65, k: 0x6b, l: 0x6c, p: 0x70, t: 0x74, v: 0x76 };

/** A digest, where it stands. */
export interface DigestAt {
  bytes: Uint8Array;
  at: number;
}

/**
 * Writes the canonical form of nodes of the tree (MST, repository
 * specification), one after the other: `begin`, `add` for every entry in
 * order, then `finish` or `digest`.
 */
export class NodeEncoder {
  #out = Buffer.allocUnsafeSlow(16 * 1024);
  #length = 0;
  /** The key before: a prefix is shared with it. */
  #keys: Uint8Array = this.#out;
  #keyStart = 0;
  #keyLength = 0;

  begin(entries: number): void {
    this.#length = 0;
    this.#keyLength = 0;
    this.#reserve(LARGEST_ENTRY);
    const out = this.#out;
    out[0] = 0xa2;
    out[1] = 0x61;
    out[2] = NAME.e;
    this.#length = writeHead(out, 3, 4, entries);
  }

  /** Adds the entry of the key at `start` of `keys`, which must stay there until the next one. */
  add(keys: Uint8Array, start: number, length: number, tree: DigestAt | null, value: DigestAt): void {
    const shared = this.#sharedWith(keys, start, length);
    this.#keys = keys;
    this.#keyStart = start;
    this.#keyLength = length;
    this.#reserve(LARGEST_ENTRY + length);
    const out = this.#out;
    let o = this.#length;
    out[o++] = 0xa4;
    out[o++] = 0x61;
    out[o++] = NAME.k;
    o = writeHead(out, o, 2, length - shared);
    for (let i = shared; i < length; i++) out[o++] = keys[start + i]!;
    out[o++] = 0x61;
    out[o++] = NAME.p;
    o = writeHead(out, o, 0, shared);
    o = writeLink(out, o, NAME.t, tree);
    this.#length = writeLink(out, o, NAME.v, value);
  }

  /** Ends the node: its bytes, good until the next `begin`. */
  finish(left: DigestAt | null): Buffer {
    this.#reserve(LARGEST_ENTRY);
    this.#length = writeLink(this.#out, this.#length, NAME.l, left);
    return this.#out.subarray(0, this.#length);
  }

  /** Ends the node: its digest. */
  digest(left: DigestAt | null): DigestAt {
    return digestOf(this.finish(left));
  }

  #sharedWith(keys: Uint8Array, start: number, length: number): number {
    const before = this.#keys;
    const from = this.#keyStart;
    const most = Math.min(this.#keyLength, length);
    let shared = 0;
    while (shared < most && before[from + shared] === keys[start + shared]) shared++;
    return shared;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#out.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#out.length * 2, this.#length + more));
    this.#out.copy(larger, 0, 0, this.#length);
    this.#out = larger;
  }
}

/** Whether the bytes at `at` are those of the digest. */
export function sameDigest(digest: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < DIGEST; i++) if (digest[i] !== bytes[at + i]) return false;
  return true;
}

/** By way of a text, which is twice as fast as asking for a buffer. */
export function digestOf(bytes: Uint8Array): DigestAt {
  return { bytes: Buffer.from(hash('sha256', bytes, 'binary'), 'binary'), at: 0 };
}

/** Writes the head of an item; returns where it ends. */
export function writeHead(out: Buffer, at: number, major: number, argument: number): number {
  const first = major << 5;
  if (argument < 24) {
    out[at] = first | argument;
    return at + 1;
  }
  if (argument < 0x100) {
    out[at] = first | 24;
    out[at + 1] = argument;
    return at + 2;
  }
  const isShort = argument < 0x1_0000;
  out[at] = first | (isShort ? 25 : 26);
  return isShort ? out.writeUInt16BE(argument, at + 1) : out.writeUInt32BE(argument, at + 1);
}

/** Writes a field that is a link or null; returns where it ends. */
function writeLink(out: Buffer, at: number, name: number, digest: DigestAt | null): number {
  out[at] = 0x61;
  out[at + 1] = name;
  return writeLinkOrNull(out, at + 2, digest);
}

/** Writes a link or null; returns where it ends. */
export function writeLinkOrNull(out: Buffer, at: number, digest: DigestAt | null): number {
  let o = at;
  if (digest === null) {
    out[o] = 0xf6;
    return o + 1;
  }
  for (let i = 0; i < LINK_HEAD.length; i++) out[o++] = LINK_HEAD[i]!;
  const { bytes, at: from } = digest;
  for (let i = 0; i < DIGEST; i++) out[o++] = bytes[from + i]!;
  return o;
}
