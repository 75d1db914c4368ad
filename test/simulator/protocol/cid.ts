import { hash } from 'node:crypto';

/** A CID v1 with a sha-256 digest as its 36 bytes; `cidText` gives its usual form. */
export type Cid = Buffer;

const DAG_CBOR = Buffer.from([0x01, 0x71, 0x12, 0x20]);
const RAW = Buffer.from([0x01, 0x55, 0x12, 0x20]);
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
/** Every two digits of base32 that ten bits give. */
const PAIRS = Array.from({ length: 1024 }, (_, i) => ALPHABET[i >> 5]! + ALPHABET[i & 31]!);

/** The CID of a dag-cbor block. */
export function cidOf(block: Uint8Array): Cid {
  return Buffer.concat([DAG_CBOR, hash('sha256', block, 'buffer')], 36);
}

/** The CID of a blob's bytes. */
export function rawCidOf(bytes: Uint8Array): Cid {
  return Buffer.concat([RAW, hash('sha256', bytes, 'buffer')], 36);
}

/** `bafyrei…` */
export function cidText(cid: Cid): string {
  return `b${base32(cid)}`;
}

/** Lower case, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    if (bits >= 10) {
      bits -= 10;
      text += PAIRS[(held >>> bits) & 1023]!;
      held &= (1 << bits) - 1;
    }
  }
  if (bits === 0) return text;
  const left = held << (10 - bits);
  return text + PAIRS[left]!.slice(0, Math.ceil(bits / 5));
}

/** As a key of maps and sets: shorter than the text and quick to make. */
export function cidKey(cid: Cid): string {
  return cid.toString('latin1', 4, 36);
}
