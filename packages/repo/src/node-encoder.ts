import { hash } from 'node:crypto';

const LINK_HEAD = Buffer.from('d82a58250001711220', 'hex');
const DIGEST = 32;
/** A link of 41 bytes, or null. */
const LARGEST_LINK = LINK_HEAD.length + DIGEST;
/** An entry without its key: heads, names of its fields, two links. */
const LARGEST_ENTRY = 32 + 2 * LARGEST_LINK;

/** A digest, where it stands. */
export interface DigestAt {
  bytes: Uint8Array;
  at: number;
}

/** What a node of the tree holds, in order. */
export interface NodeEntry {
  key: string;
  /** The record. */
  value: DigestAt;
  /** The subtree after the key. */
  tree: DigestAt | null;
}

let out = Buffer.allocUnsafeSlow(64 * 1024);
let length = 0;

/** Digest of the canonical node of these entries. */
export function nodeDigest(left: DigestAt | null, entries: readonly NodeEntry[]): DigestAt {
  writeNode(left, entries);
  // By way of a text, which is twice as fast as asking for a buffer.
  return { bytes: Buffer.from(hash('sha256', out.subarray(0, length), 'binary'), 'binary'), at: 0 };
}

/** The canonical node of these entries (MST, repository specification). */
export function encodeNode(left: DigestAt | null, entries: readonly NodeEntry[]): Buffer {
  writeNode(left, entries);
  return Buffer.from(out.subarray(0, length));
}

function writeNode(left: DigestAt | null, entries: readonly NodeEntry[]): void {
  length = 0;
  writeByte(0xa2);
  writeName('e');
  writeHead(4, entries.length);
  let before = '';
  for (const entry of entries) {
    writeEntry(before, entry);
    before = entry.key;
  }
  reserve(LARGEST_ENTRY);
  writeName('l');
  writeLink(left);
}

function writeEntry(before: string, { key, value, tree }: NodeEntry): void {
  let shared = 0;
  while (shared < before.length && before.charCodeAt(shared) === key.charCodeAt(shared)) shared++;
  reserve(LARGEST_ENTRY + key.length);
  writeByte(0xa4);
  writeName('k');
  writeHead(2, key.length - shared);
  for (let i = shared; i < key.length; i++) out[length++] = key.charCodeAt(i);
  writeName('p');
  writeHead(0, shared);
  writeName('t');
  writeLink(tree);
  writeName('v');
  writeLink(value);
}

function writeByte(byte: number): void {
  out[length++] = byte;
}

function writeName(letter: string): void {
  writeByte(0x61);
  writeByte(letter.charCodeAt(0));
}

function writeHead(major: number, argument: number): void {
  const first = major << 5;
  if (argument < 24) {
    writeByte(first | argument);
    return;
  }
  if (argument < 0x100) writeByte(first | 24);
  else {
    if (argument < 0x1_0000) writeByte(first | 25);
    else {
      writeByte(first | 26);
      writeByte(argument >>> 24);
      writeByte((argument >> 16) & 255);
    }
    writeByte((argument >> 8) & 255);
  }
  writeByte(argument & 255);
}

function writeLink(digest: DigestAt | null): void {
  if (digest === null) {
    writeByte(0xf6);
    return;
  }
  for (let i = 0; i < LINK_HEAD.length; i++) out[length++] = LINK_HEAD[i]!;
  const { bytes, at } = digest;
  for (let i = 0; i < DIGEST; i++) out[length++] = bytes[at + i]!;
}

function reserve(more: number): void {
  if (length + more <= out.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(out.length * 2, length + more));
  out.copy(larger, 0, 0, length);
  out = larger;
}
