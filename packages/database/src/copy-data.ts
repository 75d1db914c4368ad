import type { RecordText } from '@headwater/events';

/** A value of a row, all as text: JSON too, or the bytes of it. */
export type Value = string | null | RecordText;
export type Row = readonly Value[];

/** Type and length of a message. */
const HEADER = 5;
const COPY_DATA = 0x64;

/** To a message: large enough that its header costs nothing, small enough to stay in the processor's cache. */
const chunkBytes = 64 * 1024;
/** Chunks kept for the next batch. */
const maxSpare = 128;
const spare: Buffer[] = [];

/** What a file in COPY's binary format begins with (no flags, no extension), and its end: a row of -1 fields. */
const signature = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1');
const trailer = Buffer.from([0xff, 0xff]);
/** The message that ends the rows of one COPY. */
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/** Room for the number of fields and for a value's length; no NUL, which is looked for. */
const countRoom = '\x01\x01';
const lengthRoom = '\x01\x01\x01\x01';
/** A value's length, then the version of jsonb's format. */
const jsonbRoom = `${lengthRoom}\x01`;

/** Which columns are of type jsonb, by position; the others are text. */
export type JsonbColumns = readonly boolean[];
const none: JsonbColumns = [];

/**
 * Rows in COPY's binary format, which costs PostgreSQL a quarter less for a record than text, written once, as the bytes
 * of the messages in which they are sent. NUL, which PostgreSQL can't store, is left out; a lone surrogate becomes
 * U+FFFD.
 */
export class CopyData {
  /** What is to be sent, when all rows are written. */
  readonly parts: Buffer[] = [];
  #chunks: Buffer[] = [];
  #chunk: Buffer = Buffer.alloc(0);
  /** Where the message begins that is being written. */
  #start = 0;
  #at = 0;

  /** All rows of one COPY, and its end. */
  add(rows: readonly Row[], jsonb: JsonbColumns = none): void {
    if (this.#at + HEADER > this.#chunk.length) this.#take(0);
    this.#at = this.#start + HEADER;
    this.#append(signature);
    for (const row of rows) this.#row(row, jsonb);
    this.#append(trailer);
    this.#seal();
    if (this.#at + HEADER > this.#chunk.length) this.#take(HEADER);
    this.#at += copyDone.copy(this.#chunk, this.#at);
    this.#start = this.#at;
  }

  /** After the last row. */
  end(): void {
    if (this.#at > 0) this.parts.push(this.#chunk.subarray(0, this.#at));
  }

  /** Gives the bytes back to be written over. Only when they are certain to have been sent. */
  free(): void {
    for (const chunk of this.#chunks) {
      if (chunk.length === chunkBytes && spare.length < maxSpare) spare.push(chunk);
    }
    this.#chunks = [];
  }

  #row(row: Row, jsonb: JsonbColumns): void {
    let from = 0;
    for (let i = 0; i < row.length; i++) {
      const value = row[i];
      if (typeof value !== 'object' || value === null) continue;
      this.#values(row, from, i + 1, jsonb);
      this.#append(value.bytes, value.start, value.end);
      from = i + 1;
    }
    if (from < row.length) this.#values(row, from, row.length, jsonb);
  }

  /**
   * Values `from` to `to` of a row; of a last one that is bytes, its length alone. They are put together and written at
   * once, which costs as much as writing one of them. Where all are ASCII, their lengths are those of the texts.
   */
  #values(row: Row, from: number, to: number, jsonb: JsonbColumns): void {
    let text = from === 0 ? countRoom : '';
    for (let i = from; i < to; i++) {
      const value = row[i];
      text += jsonb[i] && value !== null ? jsonbRoom : lengthRoom;
      if (typeof value === 'string') text += value;
    }
    // No character takes more than three bytes.
    const most = text.length * 3;
    if (this.#at + most > this.#chunk.length) this.#grow(most);
    const chunk = this.#chunk;
    let at = this.#at;
    const ascii = chunk.write(text, at) === text.length && !text.includes('\0');
    if (from === 0) at = chunk.writeUInt16BE(row.length, at);
    for (let i = from; i < to; i++) at = this.#value(row[i]!, at, jsonb[i] === true, ascii);
    this.#at = at;
  }

  /** A value's length, and the value itself unless it `stands` there. @returns where the next one begins */
  #value(value: Value, at: number, jsonb: boolean, stands: boolean): number {
    const chunk = this.#chunk;
    if (value === null) return chunk.writeInt32BE(-1, at);
    if (typeof value === 'object') return chunk.writeInt32BE(value.end - value.start, at);
    const start = at + (jsonb ? jsonbRoom : lengthRoom).length;
    if (stands) {
      chunk.writeInt32BE(start - at - 4 + value.length, at);
      return start + value.length;
    }
    const bytes = chunk.write(value.includes('\0') ? value.replaceAll('\0', '') : value, start);
    chunk.writeInt32BE(start - at - 4 + bytes, at);
    if (jsonb) chunk[at + 4] = 1;
    return start + bytes;
  }

  #append(bytes: Buffer, start = 0, end = bytes.length): void {
    if (this.#at + end - start > this.#chunk.length) this.#grow(end - start);
    this.#at += bytes.copy(this.#chunk, this.#at, start, end);
  }

  /** A message may end anywhere in a row. */
  #grow(bytes: number): void {
    this.#seal();
    this.#take(bytes);
    this.#at = HEADER;
  }

  /** Ends the message that is being written, if there is anything in it. */
  #seal(): void {
    if (this.#at === this.#start + HEADER) this.#at = this.#start;
    else {
      this.#chunk[this.#start] = COPY_DATA;
      this.#chunk.writeUInt32BE(this.#at - this.#start - 1, this.#start + 1);
    }
    this.#start = this.#at;
  }

  /** Goes on in a new chunk, with room for a header and so many bytes. */
  #take(bytes: number): void {
    this.end();
    const size = Math.max(chunkBytes, bytes + HEADER);
    this.#chunk = (size === chunkBytes && spare.pop()) || Buffer.allocUnsafeSlow(size);
    this.#chunks.push(this.#chunk);
    this.#start = this.#at = 0;
  }
}
