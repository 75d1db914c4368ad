import { randomBytes } from 'node:crypto';

/** Bytes of a sha-256 digest. */
export const DIGEST_BYTES = 32;
/** An entry: digest (8 words), position, length. */
const WORDS = 10;
const POSITION = 8;
const LENGTH = 9;
const PAGE_BITS = 12;
const PAGE = 1 << PAGE_BITS;
/** As many blocks as the commit of one operation has. */
const FIRST_PAGE = 16;

interface Page {
  words: Uint32Array;
  /** The same memory. */
  bytes: Buffer;
}

// Digests can be ground to collide in a few bits; not in bits that nobody knows.
const seed = randomBytes(4).readUInt32LE(0) | 1;

/**
 * Digest → number of block, in typed arrays: some 50 bytes a block, where a
 * Map of CID strings needs 300. Blocks are numbered from 0 as they are added.
 * Grows by pages, so that a large index is never copied.
 */
export class BlockIndex {
  size = 0;
  #pages: Page[] = [newPage(FIRST_PAGE)];
  #room = FIRST_PAGE;
  /**
   * Open addressing; a slot is a pair: number + 1 (0 is free) and a hash of
   * the digest, so that passing by another block's slot does not touch its
   * page.
   */
  #slots = words(Buffer.allocUnsafe(FIRST_PAGE * 16)).fill(0);

  /**
   * Adds the block with the digest at `digestAt` of `bytes`, unless it is
   * there already; returns its number.
   *
   * @param position where its bytes begin in the CAR, below 4 GiB
   */
  add(bytes: Uint8Array, digestAt: number, position: number, length: number): number {
    if (this.size === this.#room) this.#addRoom();
    if (this.size * 3 > this.#slots.length) this.#rehash();
    const hash = hashOf(bytes, digestAt);
    const slot = this.#slotOf(hash, bytes, digestAt);
    const present = this.#slots[slot]!;
    if (present !== 0) return present - 1;
    const number = this.size++;
    this.#slots[slot] = number + 1;
    this.#slots[slot + 1] = hash;
    const page = this.#pages[number >> PAGE_BITS]!;
    const at = (number & (PAGE - 1)) * WORDS;
    for (let i = 0, o = at * 4; i < DIGEST_BYTES; i++, o++) page.bytes[o] = bytes[digestAt + i]!;
    page.words[at + POSITION] = position;
    page.words[at + LENGTH] = length;
    return number;
  }

  /** Number of the block with the digest at `digestAt`, −1 where there is none. */
  find(bytes: Uint8Array, digestAt: number): number {
    return this.#slots[this.#slotOf(hashOf(bytes, digestAt), bytes, digestAt)]! - 1;
  }

  position(number: number): number {
    return this.#word(number, POSITION);
  }

  length(number: number): number {
    return this.#word(number, LENGTH);
  }

  /** Copies the digest of a block to `at` of `into`. */
  copyDigest(number: number, into: Uint8Array, at: number): void {
    const { bytes } = this.#pages[number >> PAGE_BITS]!;
    const from = (number & (PAGE - 1)) * WORDS * 4;
    for (let i = 0; i < DIGEST_BYTES; i++) into[at + i] = bytes[from + i]!;
  }

  /** Lets go of what only `find` and `add` need. */
  freeze(): void {
    this.#slots = new Uint32Array(0);
  }

  #word(number: number, field: number): number {
    return this.#pages[number >> PAGE_BITS]!.words[(number & (PAGE - 1)) * WORDS + field]!;
  }

  /** The slot that holds the digest, or the free one where it belongs. */
  #slotOf(hash: number, bytes: Uint8Array, at: number): number {
    const slots = this.#slots;
    const mask = slots.length - 2;
    let slot = (hash << 1) & mask;
    for (; ; slot = (slot + 2) & mask) {
      const number = slots[slot]!;
      if (number === 0) return slot;
      if (slots[slot + 1] === hash && this.#equal(bytes, at, number - 1)) return slot;
    }
  }

  #equal(bytes: Uint8Array, at: number, number: number): boolean {
    const mine = this.#pages[number >> PAGE_BITS]!.bytes;
    const offset = (number & (PAGE - 1)) * WORDS * 4;
    for (let i = 0; i < DIGEST_BYTES; i++) if (mine[offset + i] !== bytes[at + i]) return false;
    return true;
  }

  #addRoom(): void {
    if (this.#room >= PAGE) this.#pages.push(newPage(PAGE));
    else {
      const page = newPage(this.#room * 2);
      page.words.set(this.#pages[0]!.words);
      this.#pages = [page];
    }
    this.#room = this.#room < PAGE ? this.#room * 2 : this.#room + PAGE;
  }

  #rehash(): void {
    const old = this.#slots;
    const slots = new Uint32Array(old.length * 2);
    const mask = slots.length - 2;
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] === 0) continue;
      let slot = (old[i + 1]! << 1) & mask;
      while (slots[slot] !== 0) slot = (slot + 2) & mask;
      slots[slot] = old[i]!;
      slots[slot + 1] = old[i + 1]!;
    }
    this.#slots = slots;
  }
}

function hashOf(bytes: Uint8Array, at: number): number {
  const first = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  const second = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
  const mixed = Math.imul(first ^ Math.imul(second, seed), seed);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

function newPage(entries: number): Page {
  const bytes = Buffer.allocUnsafe(entries * WORDS * 4);
  return { words: words(bytes), bytes };
}

/** The same memory as words. For few blocks it is a part of Buffer's pool, which costs less than an ArrayBuffer. */
function words(bytes: Buffer): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
