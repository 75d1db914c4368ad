import { hash } from 'node:crypto';
import { BlockIndex, DIGEST_BYTES } from './block-index.ts';
import { BlockStore } from './block-store.ts';
import { asBuffer, type CborMap, decodeCbor } from './cbor.ts';
import { CID_BYTES, Cid, DAG_CBOR, isBlockCid } from './cid.ts';
import { RepoError } from './errors.ts';

const MAX_HEADER_BYTES = 4096;
/** A record may have 1 MiB; nodes of a tree are far below. */
export const MAX_BLOCK_BYTES = 2 * 1024 * 1024;
/** Positions are kept in 32 bits. */
const MAX_CAR_BYTES = 2 ** 32 - 1;

export interface CarLimits {
  /** Bytes of the whole CAR; at most 4 GiB. */
  maxBytes: number;
  /** Bytes of one block. */
  maxBlockBytes?: number;
}

/**
 * Reads a CAR v1 with one root as its bytes come: every block's hash is
 * checked, dag-cbor blocks are indexed, raw ones (blobs, which no repo needs)
 * only checked. After the last byte call `finish`.
 *
 * Errors are RepoError: `bad-car`, `bad-cid`, `bad-hash`, `too-large`,
 * `truncated`.
 */
export class CarReader {
  readonly index = new BlockIndex();
  readonly store: BlockStore;
  /** Bytes taken in so far. */
  total = 0;
  #root: Cid | undefined;
  /** Offset in the current slab up to which it is read. */
  #read = 0;
  #maxBytes: number;
  #maxBlockBytes: number;

  constructor(limits: CarLimits, whole?: Buffer) {
    this.store = new BlockStore(whole);
    this.#maxBytes = Math.min(limits.maxBytes, MAX_CAR_BYTES);
    this.#maxBlockBytes = limits.maxBlockBytes ?? MAX_BLOCK_BYTES;
  }

  get root(): Cid {
    if (this.#root === undefined) throw new RepoError('truncated', 'the CAR ends before its header does');
    return this.#root;
  }

  /** Takes the next bytes, which are copied. */
  push(chunk: Uint8Array): void {
    this.#count(chunk.length);
    for (let from = 0; from < chunk.length; ) {
      if (this.store.current.filled === this.store.current.bytes.length) this.#roll(0);
      from += this.store.fill(chunk, from);
      this.#readSections();
    }
  }

  /** Reads the bytes that were given to the constructor as a whole. */
  readWhole(): void {
    this.#count(this.store.current.filled);
    this.#readSections();
    this.finish();
  }

  #count(bytes: number): void {
    this.total += bytes;
    if (this.total > this.#maxBytes) {
      throw new RepoError('too-large', `the CAR has more than ${this.#maxBytes} bytes`);
    }
  }

  finish(): void {
    if (this.#root === undefined || this.#read !== this.store.current.filled) {
      throw new RepoError('truncated', 'the CAR ends in the middle of a block');
    }
  }

  #roll(room: number): void {
    this.store.roll(this.#read, room);
    this.#read = 0;
  }

  #readSections(): void {
    const { bytes, filled } = this.store.current;
    for (;;) {
      const prefix = varintLength(bytes, this.#read, filled);
      if (prefix === 0) return;
      const length = readVarint(bytes, this.#read, prefix);
      this.#checkSectionLength(length);
      const start = this.#read + prefix;
      if (start + length > filled) {
        // Room for the whole section in one slab, so that a block is always contiguous.
        if (start + length > bytes.length) this.#roll(prefix + length);
        return;
      }
      if (this.#root === undefined) this.#root = readHeader(bytes.subarray(start, start + length));
      else this.#readBlock(bytes, start, start + length);
      this.#read = start + length;
    }
  }

  #checkSectionLength(length: number): void {
    if (this.#root === undefined) {
      if (length === 0 || length > MAX_HEADER_BYTES) {
        throw new RepoError('bad-car', `a CAR header of ${length} bytes`);
      }
    } else if (length <= CID_BYTES) throw new RepoError('bad-car', `a block section of ${length} bytes`);
    else if (length - CID_BYTES > this.#maxBlockBytes) {
      throw new RepoError('too-large', `a block has more than ${this.#maxBlockBytes} bytes`);
    }
  }

  #readBlock(bytes: Buffer, start: number, end: number): void {
    if (!isBlockCid(bytes, start)) {
      throw new RepoError('bad-cid', 'a block has a CID that is not v1, dag-cbor or raw, sha-256');
    }
    const data = start + CID_BYTES;
    const digest = data - DIGEST_BYTES;
    if (!isDigest(hash('sha256', bytes.subarray(data, end), 'binary'), bytes, digest)) {
      throw new RepoError('bad-hash', `a block does not hash to its CID, at byte ${this.#positionOf(data)}`);
    }
    if (bytes[start + 1] !== DAG_CBOR) return;
    this.index.add(bytes, digest, this.#positionOf(data), end - data);
  }

  #positionOf(offset: number): number {
    return this.store.current.base + offset;
  }
}

/** Whether the bytes at `at` are those of the digest. */
function isDigest(digest: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < DIGEST_BYTES; i++) if (digest.charCodeAt(i) !== bytes[at + i]) return false;
  return true;
}

/** Length of the varint at `at`, 0 where it is not complete yet. */
function varintLength(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at; i < end; i++) {
    if (bytes[i]! < 0x80) return i - at + 1;
    // Five bytes hold 35 bits: more than any cap.
    if (i - at >= 4) throw new RepoError('bad-car', 'a length of more than five bytes');
  }
  return 0;
}

function readVarint(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = length - 1; i >= 0; i--) value = value * 128 + (bytes[at + i]! & 0x7f);
  if (length > 1 && bytes[at + length - 1] === 0) {
    throw new RepoError('bad-car', 'a length is not in its shortest form');
  }
  return value;
}

/** A header as nearly all are: `{"roots": [a dag-cbor CID], "version": 1}`, before and after the digest. */
const HEADER_START = Buffer.from('a265726f6f747381d82a58250001711220', 'hex');
const HEADER_END = Buffer.from('6776657273696f6e01', 'hex');
const HEADER_BYTES = HEADER_START.length + DIGEST_BYTES + HEADER_END.length;

function readHeader(bytes: Buffer): Cid {
  const end = HEADER_START.length + DIGEST_BYTES;
  const isUsual =
    bytes.length === HEADER_BYTES && isAt(HEADER_START, bytes, 0) && isAt(HEADER_END, bytes, end);
  // A copy: the root outlives the slab it stood in.
  if (isUsual) return new Cid(Buffer.from(bytes.subarray(end - CID_BYTES, end)));
  return readAnyHeader(Buffer.from(bytes));
}

function isAt(expected: Buffer, bytes: Buffer, at: number): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

function readAnyHeader(bytes: Buffer): Cid {
  let header: CborMap;
  try {
    header = decodeCbor(bytes) as CborMap;
  } catch (cause) {
    throw new RepoError('bad-car', 'the CAR header is not DAG-CBOR', { cause });
  }
  const roots = header?.roots;
  if (header?.version !== 1) throw new RepoError('bad-car', 'the CAR is not of version 1');
  if (!Array.isArray(roots) || roots.length !== 1) throw new RepoError('bad-car', 'the CAR has not one root');
  const root = roots[0];
  if (!(root instanceof Cid) || !root.isDagCbor) {
    throw new RepoError('bad-car', 'the root of the CAR is not a dag-cbor CID');
  }
  return root;
}

/** Reads a whole CAR that is in memory already, and keeps views of its bytes. */
export function readCarBytes(bytes: Uint8Array, limits: CarLimits): CarReader {
  const reader = new CarReader(limits, asBuffer(bytes));
  reader.readWhole();
  return reader;
}
