import { CID } from 'multiformats/cid';
import { RepoError } from './errors.ts';
import { latin1Text } from './text.ts';

/** Bytes of a CID of a repo block: version, codec, hash, digest length (4), digest (32). */
export const CID_BYTES = 36;
/** Characters of such a CID in base32 with its multibase prefix. */
export const CID_CHARS = 59;
export const DAG_CBOR = 0x71;
export const RAW = 0x55;

const ALPHABET = Buffer.from('abcdefghijklmnopqrstuvwxyz234567', 'latin1');
const scratch = Buffer.alloc(CID_CHARS);

/** Whether a CID v1 of codec dag-cbor or raw with a sha-256 digest begins at `at`. */
export function isBlockCid(bytes: Uint8Array, at: number): boolean {
  const codec = bytes[at + 1];
  return (
    bytes[at] === 1 &&
    (codec === DAG_CBOR || codec === RAW) &&
    bytes[at + 2] === 0x12 &&
    bytes[at + 3] === 0x20 &&
    at + CID_BYTES <= bytes.length
  );
}

/** Writes the base32 form of the 36 bytes at `from` into `out` at `to`: 59 characters. */
export function writeCid(bytes: Uint8Array, from: number, out: Uint8Array, to: number): void {
  out[to] = 0x62;
  let o = to + 1;
  let i = from;
  for (let group = 0; group < 7; group++, i += 5, o += 8) {
    const high = (bytes[i]! << 12) | (bytes[i + 1]! << 4) | (bytes[i + 2]! >> 4);
    const low = ((bytes[i + 2]! & 15) << 16) | (bytes[i + 3]! << 8) | bytes[i + 4]!;
    out[o] = ALPHABET[high >> 15]!;
    out[o + 1] = ALPHABET[(high >> 10) & 31]!;
    out[o + 2] = ALPHABET[(high >> 5) & 31]!;
    out[o + 3] = ALPHABET[high & 31]!;
    out[o + 4] = ALPHABET[low >> 15]!;
    out[o + 5] = ALPHABET[(low >> 10) & 31]!;
    out[o + 6] = ALPHABET[(low >> 5) & 31]!;
    out[o + 7] = ALPHABET[low & 31]!;
  }
  out[o] = ALPHABET[bytes[i]! >> 3]!;
  out[o + 1] = ALPHABET[(bytes[i]! & 7) << 2]!;
}

/** The base32 text of the 36-byte CID at `at`. */
export function cidText(bytes: Uint8Array, at = 0): string {
  writeCid(bytes, at, scratch, 0);
  return latin1Text(scratch, 0, CID_CHARS);
}

/**
 * The text of any CID, as multiformats gives it (base58 for v0, base32 for
 * v1). Records may link to CIDs of other forms than a repo's blocks have.
 *
 * @throws RepoError `bad-cbor` where the bytes are no CID
 */
export function anyCidText(bytes: Uint8Array): string {
  if (bytes.length === CID_BYTES && isBlockCid(bytes, 0)) return cidText(bytes);
  let cid: CID;
  try {
    cid = CID.decode(bytes);
  } catch (cause) {
    throw new RepoError('bad-cbor', 'a link is not a CID', { cause });
  }
  // What does not give the same bytes again (a version 0 spelled out, long varints) is not the CID's one form.
  if (Buffer.compare(cid.bytes, bytes) !== 0)
    throw new RepoError('bad-cbor', 'a link is not a CID in its one form');
  return cid.toString();
}

/** A link as the decoder of frames and commits returns it. */
export class Cid {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Whether it has the form of a repo block's CID, with codec dag-cbor. */
  get isDagCbor(): boolean {
    return this.bytes.length === CID_BYTES && isBlockCid(this.bytes, 0) && this.bytes[1] === DAG_CBOR;
  }

  equals(other: Cid | null | undefined): boolean {
    return other != null && Buffer.compare(this.bytes, other.bytes) === 0;
  }

  toString(): string {
    return anyCidText(this.bytes);
  }
}
