import { randomBytes } from 'node:crypto';

/** Bytes of a sha-256 digest, and the same in 32-bit words. */
export const DIGEST_BYTES = 32;
const WORDS = 8;
const FIRST_CAPACITY = 64;

/**
 * Digest → number of block, in typed arrays: some 50 bytes a block, where a
 * Map of CID strings needs 300. Blocks are numbered from 0 as they are added.
 */
export class BlockIndex {
  size = 0;
  /** Where each block's bytes begin in the CAR. A CAR of more than 4 GiB is refused before. */
  #positions = new Uint32Array(FIRST_CAPACITY);
  #lengths = new Uint32Array(FIRST_CAPACITY);
  #digests = Buffer.alloc(FIRST_CAPACITY * DIGEST_BYTES);
  #words = wordsOf(this.#digests);
  /** Open addressing; holds number + 1, 0 is free. Twice as large as the capacity. */
  #slots = new Uint32Array(FIRST_CAPACITY * 2);
  // Digests can be ground to collide in a few bits; not in bits that nobody knows.
  #seed = randomBytes(4).readUInt32LE(0) | 1;
  #probe = new Uint8Array(DIGEST_BYTES);
  #probeWords = wordsOf(this.#probe);

  /** Adds a block unless its digest is there already; returns its number. */
  add(bytes: Uint8Array, digestAt: number, position: number, length: number): number {
    if (this.size === this.#positions.length) this.#grow();
    this.#load(bytes, digestAt);
    const slot = this.#slotOf(this.#probeWords, 0);
    const present = this.#slots[slot]!;
    if (present !== 0) return present - 1;
    const number = this.size++;
    this.#slots[slot] = number + 1;
    this.#words.set(this.#probeWords, number * WORDS);
    this.#positions[number] = position;
    this.#lengths[number] = length;
    return number;
  }

  /** Number of the block with the digest at `digestAt`, −1 where there is none. */
  find(bytes: Uint8Array, digestAt: number): number {
    this.#load(bytes, digestAt);
    return this.#slots[this.#slotOf(this.#probeWords, 0)]! - 1;
  }

  position(number: number): number {
    return this.#positions[number]!;
  }

  length(number: number): number {
    return this.#lengths[number]!;
  }

  /** All digests, that of block n at n × 32. Valid until the next `add`. */
  get digests(): Buffer {
    return this.#digests;
  }

  /** Lets go of what only `find` and `add` need. */
  freeze(): void {
    this.#slots = new Uint32Array(0);
  }

  #load(bytes: Uint8Array, at: number): void {
    const probe = this.#probe;
    for (let i = 0; i < DIGEST_BYTES; i++) probe[i] = bytes[at + i]!;
  }

  /** The slot that holds the digest, or the free one where it belongs. */
  #slotOf(words: Uint32Array, at: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (Math.imul(words[at]! ^ Math.imul(words[at + 1]!, this.#seed), this.#seed) >>> 7) & mask;
    for (; ; slot = (slot + 1) & mask) {
      const number = slots[slot]!;
      if (number === 0 || this.#equal(words, at, number - 1)) return slot;
    }
  }

  #equal(words: Uint32Array, at: number, number: number): boolean {
    const mine = this.#words;
    const offset = number * WORDS;
    for (let i = 0; i < WORDS; i++) if (mine[offset + i] !== words[at + i]) return false;
    return true;
  }

  #grow(): void {
    const capacity = this.#positions.length * 2;
    this.#positions = enlarged(this.#positions, capacity);
    this.#lengths = enlarged(this.#lengths, capacity);
    const digests = Buffer.alloc(capacity * DIGEST_BYTES);
    this.#digests.copy(digests);
    this.#digests = digests;
    this.#words = wordsOf(digests);
    this.#slots = new Uint32Array(capacity * 2);
    for (let n = 0; n < this.size; n++) this.#slots[this.#slotOf(this.#words, n * WORDS)] = n + 1;
  }
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}

function enlarged(array: Uint32Array, capacity: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(capacity);
  larger.set(array);
  return larger;
}
