/** A value of a row: JSON columns as text. */
export type Value = string | number | boolean | null;
export type Row = readonly Value[];

/** Column separator, row separator, escape character, and NUL, which PostgreSQL can't store in text. */
const special = /[\\\n\r\t\0]/;
const specials = /[\\\n\r\t\0]/g;

const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '' };

/** Type and length of a message. */
const HEADER = 5;
const COPY_DATA = 0x64;

/** To a message: large enough that its header costs nothing, small enough to stay in the processor's cache. */
const chunkBytes = 64 * 1024;
/** Chunks kept for the next batch. */
const maxSpare = 128;
const spare: Buffer[] = [];

/** The message that ends the rows of one COPY. */
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/**
 * Rows in COPY's text format, written once, as the bytes of the messages in which they are sent. NULL is `\N`, which
 * no text can become because its backslash is doubled. NUL is left out; a lone surrogate becomes U+FFFD.
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
  add(rows: readonly Row[]): void {
    if (this.#at + HEADER > this.#chunk.length) this.#take(0);
    this.#at = this.#start + HEADER;
    for (const row of rows) this.#row(row);
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

  /** One write for the whole row: each costs as much as putting all its values together. */
  #row(row: Row): void {
    let text = '';
    for (let i = 0; i < row.length; i++) {
      if (i > 0) text += '\t';
      const value = row[i]!;
      if (typeof value === 'string') {
        text += special.test(value) ? value.replace(specials, (c) => escapes[c]!) : value;
      } else if (value === null) text += '\\N';
      else text += value === true ? 't' : value === false ? 'f' : String(value);
    }
    this.#text(`${text}\n`);
  }

  #text(text: string): void {
    // No character takes more than three bytes.
    const most = text.length * 3;
    if (this.#at + most > this.#chunk.length) this.#grow(most);
    this.#at += this.#chunk.write(text, this.#at);
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
