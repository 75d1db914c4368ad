import { randomUUID } from 'node:crypto';
import { readSync } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Most repos fit. */
const FIRST_SLAB = 256 * 1024;
/** First slabs that are kept for the next repos: memory outside of V8's heap has it collect garbage the sooner. */
const MOST_KEPT = 16;
const kept: Buffer[] = [];
const LARGEST_SLAB = 4 * 1024 * 1024;
/** How far is read ahead in the file. */
const WINDOW = 128 * 1024;
const NOTHING = Buffer.alloc(0);

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
  /** Memory of a slab that is in the file: hundreds of them made anew would stay for long, and few can be given back. */
  #spare: Buffer = NOTHING;
  #last: Slab;
  readonly #isOurs: boolean;
  #disposed = false;
  /** What was read from the file last. */
  #window = NOTHING;
  #windowBase = 0;
  #windowLength = 0;

  /** With `whole`, holds these bytes as they are, without a copy; nothing is to be added then. */
  constructor(whole?: Buffer) {
    const bytes = whole ?? kept.pop() ?? Buffer.allocUnsafeSlow(FIRST_SLAB);
    this.#isOurs = whole === undefined;
    this.#last = { bytes, base: 0, filled: whole === undefined ? 0 : whole.length };
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
    const slab: Slab = { bytes: this.#memory(size), base: old.base + keepFrom, filled: 0 };
    slab.filled = old.bytes.copy(slab.bytes, 0, keepFrom, old.filled);
    old.filled = keepFrom;
    this.#slabs.push(slab);
    this.#last = slab;
  }

  #memory(size: number): Buffer {
    const spare = this.#spare;
    if (spare.length < size) return Buffer.allocUnsafeSlow(size);
    this.#spare = NOTHING;
    return spare;
  }

  /** Moves everything that came so far, and from now on each full slab, to a file in `folder`. */
  async spool(folder: string): Promise<void> {
    if (this.#file === undefined) {
      const path = join(folder, `headwater-${randomUUID()}.car`);
      this.#file = await open(path, 'wx+', 0o600);
      await unlink(path);
    }
    while (this.#slabs.length > 1) {
      const slab = this.#slabs.shift()!;
      await this.#write(slab);
      this.#spare = slab.bytes;
    }
  }

  /** To be called at the end of the stream: nothing is added after. */
  async finish(): Promise<void> {
    if (this.#file === undefined) return;
    await this.#write(this.#last);
    this.#slabs = [];
    this.#spare = NOTHING;
    this.#last = { bytes: NOTHING, base: this.#written, filled: 0 };
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
   * Finds the range where it lies: returns a buffer that holds it and leaves
   * its offset there in `offset`. The buffer is only good until the next
   * `read`, and not to be written to; with `into`, which must be large enough,
   * that is what holds it where it comes from the file.
   */
  read(position: number, length: number, into?: Buffer): Buffer {
    if (this.#disposed) throw new Error('the repo snapshot was disposed of');
    if (this.#file !== undefined) return this.#readFile(position, length, into);
    const slab = this.#slabOf(position);
    this.offset = position - slab.base;
    return slab.bytes;
  }

  /** Where in the buffer of the last `read` the range begins. */
  offset = 0;

  #readFile(position: number, length: number, into?: Buffer): Buffer {
    if (into !== undefined) {
      this.#readFully(into, position, length);
      this.offset = 0;
      return into;
    }
    const begin = this.#windowBase;
    const inside = position >= begin && position + length <= begin + this.#windowLength;
    if (!inside) this.#moveWindow(position, length);
    this.offset = position - this.#windowBase;
    return this.#window;
  }

  /** Reads ahead where reads come in order of position, else no more than what is asked for. */
  #moveWindow(position: number, length: number): void {
    const ahead = position - (this.#windowBase + this.#windowLength);
    const isOrdered = ahead >= 0 && ahead < WINDOW;
    const wanted = isOrdered ? Math.min(Math.max(length, WINDOW), this.#written - position) : length;
    if (this.#window.length < wanted) this.#window = Buffer.allocUnsafeSlow(Math.max(wanted, WINDOW));
    this.#windowLength = 0;
    this.#readFully(this.#window, position, wanted);
    this.#windowBase = position;
    this.#windowLength = wanted;
  }

  #readFully(into: Buffer, position: number, length: number): void {
    for (let done = 0; done < length; ) {
      const count = readSync(this.#file!.fd, into, done, length - done, position + done);
      if (count === 0) throw new Error('the spool file is shorter than what was written to it');
      done += count;
    }
  }

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

  #cached: Slab = { bytes: NOTHING, base: 0, filled: 0 };

  /** What `read` has given is not to be looked at any more. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const first = this.#slabs[0]?.bytes;
    if (this.#isOurs && first?.length === FIRST_SLAB && kept.length < MOST_KEPT) kept.push(first);
    this.#slabs = [];
    this.#last = { bytes: NOTHING, base: 0, filled: 0 };
    this.#cached = this.#last;
    this.#window = NOTHING;
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
