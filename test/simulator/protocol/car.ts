import { array, integer, link, map } from './cbor.ts';
import type { Cid } from './cid.ts';

/** A block with its CID. */
export type Block = readonly [Cid, Uint8Array];

/** The head of a CAR v1 with one root. */
export function carHeader(root: Cid): Buffer {
  const header = map({ roots: array([link(root)]), version: integer(1) });
  return Buffer.concat([varint(header.length), header]);
}

/** A section of a CAR: length, CID, bytes. */
export function carSection(cid: Cid, block: Uint8Array): Buffer {
  return Buffer.concat([varint(cid.length + block.length), cid, block]);
}

export function car(root: Cid, blocks: Iterable<Block>): Buffer {
  const parts: Uint8Array[] = [carHeader(root)];
  for (const [cid, block] of blocks) parts.push(varint(cid.length + block.length), cid, block);
  return Buffer.concat(parts);
}

/** Unsigned LEB128. */
export function varint(n: number): Buffer {
  if (n < 0x80) return Buffer.from([n]);
  const digits: number[] = [];
  for (; n >= 0x80; n = Math.floor(n / 128)) digits.push((n % 128) | 0x80);
  return Buffer.from([...digits, n]);
}

/** Offsets in a CAR at which a section begins, and its length: where it can be cut between blocks. */
export function boundaries(bytes: Uint8Array): number[] {
  const offsets: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    offsets.push(at);
    let length = 0;
    let scale = 1;
    for (;;) {
      const byte = bytes[at++]!;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
      scale *= 128;
    }
    at += length;
  }
  offsets.push(bytes.length);
  return offsets;
}
