import { randomUUID } from 'node:crypto';
import { readSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

const FIRST_SLAB = 64 * 1024;
const LARGEST_SLAB = 4 * 1024 * 1024;

interface Slab {
  bytes: Buffer;
  /** Position in the stream of its first byte. */
  base: number;
  filled: number;
}

/**
 * Keeps a stream of bytes so that any range which was once contiguous in a
 * slab can be read again by its position: in memory while it is small, in an
 * unlinked temporary file beyond. A crash leaves no file behind.
 */
export class BlockStore {
  #slabs: Slab[] = [];
  #file: FileHandle | undefined;
  #written = 0;
  #last: Slab;
  #disposed = false;

  constructor() {
    this.#last = { bytes: Buffer.allocUnsafeSlow(FIRST_SLAB), base: 0, filled: 0 };
    this.#slabs.push(this.#last);
  }

  /** The slab that is being filled. */
  get current(): Readonly<Slab> {
    return this.#last;
  }

  get spooled(): boolean {
    return this.#file !== undefined;
  }

  /** Copies as much of `chunk` as there is room for; returns how much. */
  fill(chunk: Uint8Array, from: number): number {
    const slab = this.#last;
    const count = Math.min(slab.bytes.length - slab.filled, chunk.length - from);
    const whole = from === 0 && count === chunk.length;
    slab.bytes.set(whole ? chunk : chunk.subarray(from, from + count), slab.filled);
    slab.filled += count;
    return count;
  }

  /** Begins a new slab of at least `room` bytes; what follows `keepFrom` in the old one moves along. */
  roll(keepFrom: number, room: number): void {
    const old = this.#last;
    const size = Math.max(Math.min(old.bytes.length * 2, LARGEST_SLAB), room);
    const slab: Slab = { bytes: Buffer.allocUnsafeSlow(size), base: old.base + keepFrom, filled: 0 };
    slab.filled = old.bytes.copy(slab.bytes, 0, keepFrom, old.filled);
    old.filled = keepFrom;
    this.#slabs.push(slab);
    this.#last = slab;
  }

  /** Moves everything that came so far, and from now on each full slab, to a file in `folder`. */
  async spool(folder: string): Promise<void> {
    if (this.#file === undefined) {
      const path = join(folder, `headwater-${randomUUID()}.car`);
      this.#file = await open(path, 'wx+', 0o600);
      await unlink(path);
    }
    while (this.#slabs.length > 1) await this.#write(this.#slabs.shift()!);
  }

  /** To be called at the end of the stream: nothing is added after. */
  async finish(): Promise<void> {
    if (this.#file === undefined) return;
    await this.#write(this.#last);
    this.#slabs = [];
    this.#last = { bytes: Buffer.alloc(0), base: this.#written, filled: 0 };
  }

  async #write(slab: Slab): Promise<void> {
    for (let done = 0; done < slab.filled; ) {
      const { bytesWritten } = await this.#file!.write(
        slab.bytes,
        done,
        slab.filled - done,
        slab.base + done,
      );
      done += bytesWritten;
    }
    this.#written = slab.base + slab.filled;
  }

  /**
   * Finds the range where it lies: returns the buffer that holds it and leaves
   * its offset there in `offset`. From memory a view without a copy; from the
   * file into `scratch` where it is large enough, else into a new buffer.
   */
  read(position: number, length: number, scratch?: Buffer): Buffer {
    if (this.#disposed) throw new Error('the repo snapshot was disposed of');
    if (this.#file === undefined || position >= this.#written) {
      const slab = this.#slabOf(position);
      this.offset = position - slab.base;
      return slab.bytes;
    }
    this.offset = 0;
    const into = scratch !== undefined && scratch.length >= length ? scratch : Buffer.allocUnsafe(length);
    for (let done = 0; done < length; ) {
      const count = readSync(this.#file.fd, into, done, length - done, position + done);
      if (count === 0) throw new Error('the spool file is shorter than what was written to it');
      done += count;
    }
    return into;
  }

  /** Where in the buffer of the last `read` the range begins. */
  offset = 0;

  #slabOf(position: number): Slab {
    const last = this.#cached;
    if (position >= last.base && position < last.base + last.filled) return last;
    let low = 0;
    let high = this.#slabs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#slabs[middle]!.base <= position) low = middle;
      else high = middle - 1;
    }
    this.#cached = this.#slabs[low]!;
    return this.#cached;
  }

  #cached: Slab = { bytes: Buffer.alloc(0), base: 0, filled: 0 };

  async dispose(): Promise<void> {
    this.#disposed = true;
    this.#slabs = [];
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
