import { RepoError } from './errors.ts';
import type { JsonBytes } from './json-bytes.ts';
import { isNsid, isRecordKey, slashOf } from './repo-path.ts';
import { latin1Text } from './text.ts';

interface CollectionRun {
  name: string;
  /** Number of its first record. */
  from: number;
}

/**
 * The records of a repo in order of their paths: some 20 bytes a record, so
 * that a million of them stay in memory.
 */
export class RecordTable {
  count = 0;
  readonly collections: CollectionRun[] = [];
  #blocks = new Uint32Array(64);
  #ends = new Uint32Array(64);
  #rkeys = Buffer.allocUnsafeSlow(1024);
  /** Length of the present collection with its slash. */
  #prefixLength = 0;

  /**
   * Adds the record of a key, which comes after the one before and shares
   * `shared` bytes with it.
   *
   * @throws RepoError `bad-path` where the key is not `collection/rkey`
   */
  add(key: Buffer, length: number, shared: number, block: number): void {
    const { count } = this;
    if (count === 0 || shared < this.#prefixLength) this.#beginCollection(key, length);
    const start = this.#prefixLength;
    if (!isRecordKey(key, start, length)) badPath(key, length);
    this.#reserve(length - start);
    const begin = this.#end(count - 1);
    const rkeys = this.#rkeys;
    for (let i = start, o = begin; i < length; i++, o++) rkeys[o] = key[i]!;
    this.#ends[count] = begin + length - start;
    this.#blocks[count] = block;
    this.count = count + 1;
  }

  /** Number of the block of record `n`. */
  block(n: number): number {
    return this.#blocks[n]!;
  }

  rkey(n: number): string {
    return latin1Text(this.#rkeys, this.#end(n - 1), this.#end(n));
  }

  /** Appends the record key of record `n`. */
  writeRkey(n: number, to: JsonBytes): void {
    to.asciiBytes(this.#rkeys, this.#end(n - 1), this.#end(n));
  }

  #end(n: number): number {
    return n < 0 ? 0 : this.#ends[n]!;
  }

  #beginCollection(key: Buffer, length: number): void {
    const slash = slashOf(key, length);
    const name = slash < 0 ? '' : latin1Text(key, 0, slash);
    if (!isNsid(name)) badPath(key, length);
    this.#prefixLength = slash + 1;
    this.collections.push({ name, from: this.count });
  }

  #reserve(bytes: number): void {
    if (this.count === this.#blocks.length) {
      this.#blocks = doubled(this.#blocks);
      this.#ends = doubled(this.#ends);
    }
    const needed = this.#end(this.count - 1) + bytes;
    if (needed <= this.#rkeys.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#rkeys.length * 2));
    this.#rkeys.copy(larger);
    this.#rkeys = larger;
  }
}

function doubled(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2);
  larger.set(array);
  return larger;
}

function badPath(key: Buffer, length: number): never {
  const shown = JSON.stringify(latin1Text(key, 0, Math.min(length, 100)));
  throw new RepoError('bad-path', `a key of the tree is not collection/rkey: ${shown}`);
}
