import { hash } from 'node:crypto';

const LINK_HEAD = Buffer.from('d82a58250001711220', 'hex');
const NULL = Buffer.from([0xf6]);

/** What a node of the tree holds, in order. */
export interface NodeEntry {
  key: string;
  /** Digest of the record's CID. */
  value: Uint8Array;
  /** Digest of the subtree after the key. */
  tree: Uint8Array | null;
}

/** Digest of the canonical node of these entries. */
export function nodeDigest(left: Uint8Array | null, entries: readonly NodeEntry[]): Buffer {
  return hash('sha256', encodeNode(left, entries), 'buffer');
}

/** The canonical node of these entries (MST, repository specification). */
export function encodeNode(left: Uint8Array | null, entries: readonly NodeEntry[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from([0xa2, 0x61, 0x65]), head(4, entries.length)];
  let before = '';
  for (const { key, value, tree } of entries) {
    const shared = sharedPrefix(before, key);
    before = key;
    const rest = Buffer.from(key.slice(shared), 'latin1');
    parts.push(Buffer.from([0xa4, 0x61, 0x6b]), head(2, rest.length), rest);
    parts.push(Buffer.from([0x61, 0x70]), head(0, shared), Buffer.from([0x61, 0x74]), ...link(tree));
    parts.push(Buffer.from([0x61, 0x76]), ...link(value));
  }
  parts.push(Buffer.from([0x61, 0x6c]), ...link(left));
  return Buffer.concat(parts);
}

function sharedPrefix(a: string, b: string): number {
  let i = 0;
  while (i < a.length && a.charCodeAt(i) === b.charCodeAt(i)) i++;
  return i;
}

function head(major: number, argument: number): Buffer {
  const first = major << 5;
  if (argument < 24) return Buffer.from([first | argument]);
  if (argument < 0x100) return Buffer.from([first | 24, argument]);
  if (argument < 0x1_0000) return Buffer.from([first | 25, argument >> 8, argument & 255]);
  return Buffer.from([
    first | 26,
    argument >>> 24,
    (argument >> 16) & 255,
    (argument >> 8) & 255,
    argument & 255,
  ]);
}

function link(digest: Uint8Array | null): Uint8Array[] {
  return digest === null ? [NULL] : [LINK_HEAD, digest];
}
