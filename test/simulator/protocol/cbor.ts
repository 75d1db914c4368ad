import { encode } from '@atcute/cbor';
import type { Cid } from './cid.ts';

/** A value as lexicon JSON: links as `{ $link }`, bytes as `{ $bytes }`. */
export type Json = Record<string, unknown>;

/** Lexicon JSON as a DAG-CBOR block. */
export function encodeJson(value: unknown): Buffer {
  return asBuffer(encode(value));
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// What follows writes CBOR piece by piece: for nodes, commits and frames, whose
// parts are encoded already, and for what no encoder would agree to write.

/** The head of an item: its major type and its length or value. */
export function head(major: number, n: number): Buffer {
  const type = major << 5;
  if (n < 24) return Buffer.from([type | n]);
  if (n < 0x100) return Buffer.from([type | 24, n]);
  if (n < 0x10000) return Buffer.from([type | 25, n >> 8, n & 255]);
  if (n < 0x100000000) {
    const bytes = Buffer.from([type | 26, 0, 0, 0, 0]);
    bytes.writeUInt32BE(n, 1);
    return bytes;
  }
  const bytes = Buffer.from([type | 27, 0, 0, 0, 0, 0, 0, 0, 0]);
  bytes.writeBigUInt64BE(BigInt(n), 1);
  return bytes;
}

export const NULL: Buffer = Buffer.from([0xf6]);

export function integer(n: number): Buffer {
  return n < 0 ? head(1, -n - 1) : head(0, n);
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([head(3, bytes.length), bytes]);
}

export function bytes(value: Uint8Array): Buffer {
  return Buffer.concat([head(2, value.length), value]);
}

export function boolean(value: boolean): Buffer {
  return Buffer.from([value ? 0xf5 : 0xf4]);
}

const LINK = Buffer.from([0xd8, 0x2a, 0x58, 0x25, 0x00]);

export function link(cid: Cid): Buffer {
  return Buffer.concat([LINK, cid], 41);
}

export function array(items: readonly Buffer[]): Buffer {
  return Buffer.concat([head(4, items.length), ...items]);
}

/** A map of encoded values in the order of DAG-CBOR: shorter keys first, then by bytes. */
export function map(entries: Readonly<Record<string, Buffer | undefined>>): Buffer {
  const keys = sortedKeys(entries);
  const parts: Buffer[] = [head(5, keys.length)];
  for (const key of keys) parts.push(text(key), entries[key]!);
  return Buffer.concat(parts);
}

/** A map cut open before the value of `key`, which has to be among the entries: `[before, after]`. */
export function mapAround(
  entries: Readonly<Record<string, Buffer | undefined>>,
  key: string,
): [Buffer, Buffer] {
  const keys = sortedKeys(entries);
  const at = keys.indexOf(key);
  const before: Buffer[] = [head(5, keys.length)];
  const after: Buffer[] = [];
  keys.forEach((k, i) => {
    if (i < at) before.push(text(k), entries[k]!);
    else if (i > at) after.push(text(k), entries[k]!);
  });
  before.push(text(key));
  return [Buffer.concat(before), Buffer.concat(after)];
}

function sortedKeys(entries: Readonly<Record<string, Buffer | undefined>>): string[] {
  const keys = Object.keys(entries).filter((key) => entries[key] !== undefined);
  return keys.sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
}
