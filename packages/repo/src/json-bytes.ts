import { CID_CHARS, writeCid } from './cid.ts';
import { latin1Text, utf8Text } from './text.ts';
import { utf8SequenceLength } from './utf8.ts';

const QUOTE = 0x22;
const BASE64 = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1');
const HEX = Buffer.from('0123456789abcdef', 'latin1');

const PLAIN = 1;
const WIDE = 0;
/** By byte: PLAIN where JSON text has it as it is, WIDE above ASCII, else the letter after the backslash. */
const ESCAPES = escapes();

function escapes(): Uint8Array {
  const table = new Uint8Array(256);
  table.fill(PLAIN, 0x20, 0x80);
  table.fill(0x75, 0, 0x20);
  for (const [byte, letter] of [...'\b\t\n\f\r"\\'].map((c, i) => [c, 'btnfr"\\'[i]!] as const)) {
    table[byte.charCodeAt(0)] = letter.charCodeAt(0);
  }
  return table;
}

/** What a buffer may keep when it is not in use. */
const KEEP_BYTES = 1 << 20;
const FIRST_BYTES = KEEP_BYTES >> 2;

/**
 * JSON text in the making, as UTF-8 bytes. What is appended is the caller's
 * to put together to valid JSON; the buffer grows and is used again.
 */
export class JsonBytes {
  /** Bytes so far. */
  length = 0;
  #out = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #outView = viewOf(this.#out);
  /** Whether there is anything but ASCII. */
  #wide = false;
  #source: Buffer | undefined;
  #sourceView = this.#outView;

  /** Appends ASCII text as it is. */
  ascii(text: string): void {
    this.#reserve(text.length);
    const out = this.#out;
    let o = this.length;
    for (let i = 0; i < text.length; i++) out[o++] = text.charCodeAt(i);
    this.length = o;
  }

  /** Appends text that need not be ASCII. */
  utf8(text: string): void {
    this.#reserve(3 * text.length);
    this.length += this.#out.write(text, this.length);
    this.#wide = true;
  }

  /** Appends bytes of JSON in ASCII as they are. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#out.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Appends a short range of ASCII as it is: a view of it would cost more than its copy. */
  asciiBytes(bytes: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    const out = this.#out;
    let o = this.length;
    for (let i = start; i < end; i++) out[o++] = bytes[i]!;
    this.length = o;
  }

  /** Appends one byte of ASCII. */
  byte(byte: number): void {
    this.#reserve(1);
    this.#out[this.length++] = byte;
  }

  /** Appends a range of UTF-8 as a quoted JSON string; false, with what came before kept, where it is not UTF-8. */
  string(bytes: Buffer, start: number, end: number): boolean {
    // A control character takes six bytes.
    this.#reserve(6 * (end - start) + 2);
    if (bytes !== this.#source) this.#setSource(bytes);
    const out = this.#out;
    let o = this.length;
    out[o++] = QUOTE;
    for (let i = start; i < end; i++) {
      const plain = this.#copyPlain(i, end, o);
      i += plain;
      o += plain;
      if (i === end) break;
      const byte = bytes[i]!;
      const letter = ESCAPES[byte]!;
      if (letter === PLAIN) out[o++] = byte;
      else if (letter === WIDE) {
        const size = utf8SequenceLength(bytes, i, end);
        if (size === 0) return false;
        this.#wide = true;
        out[o++] = byte;
        for (let k = 1; k < size; k++) out[o++] = bytes[++i]!;
      } else o = writeEscape(out, o, letter, byte);
    }
    out[o++] = QUOTE;
    this.length = o;
    return true;
  }

  /** Appends a range in base64 without padding. */
  base64(bytes: Buffer, start: number, end: number): void {
    this.#reserve(2 * (end - start) + 4);
    this.length = writeBase64(bytes, start, end, this.#out, this.length);
  }

  /** Appends the text of the 36-byte CID at `at`. */
  cid(bytes: Uint8Array, at: number): void {
    this.#reserve(CID_CHARS);
    writeCid(bytes, at, this.#out, this.length);
    this.length += CID_CHARS;
  }

  /** The text so far, and an empty buffer again. */
  takeText(): string {
    const text = this.#wide ? utf8Text(this.#out, 0, this.length) : latin1Text(this.#out, 0, this.length);
    this.reset();
    return text;
  }

  /** A copy of the bytes so far, and an empty buffer again. */
  takeBytes(): Buffer {
    const bytes = Buffer.from(this.#out.subarray(0, this.length));
    this.reset();
    return bytes;
  }

  /** Empties the buffer. */
  reset(): void {
    this.length = 0;
    this.#wide = false;
    if (this.#out.length <= KEEP_BYTES) return;
    this.#out = Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.#outView = viewOf(this.#out);
  }

  /** Copies from `start` four bytes at a time, as long as none needs a closer look. Returns how many. */
  #copyPlain(start: number, end: number, to: number): number {
    const from = this.#sourceView;
    const out = this.#outView;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const four = from.getInt32(i, true);
      if (needsLook(four)) break;
      out.setInt32(to + i - start, four, true);
    }
    return i - start;
  }

  #setSource(bytes: Buffer): void {
    this.#source = bytes;
    this.#sourceView = viewOf(bytes);
  }

  #reserve(more: number): void {
    if (this.length + more <= this.#out.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#out.length * 2, this.length + more));
    this.#out.copy(larger, 0, 0, this.length);
    this.#out = larger;
    this.#outView = viewOf(larger);
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Whether one of four bytes is above ASCII, a control character, a quote or
 * a backslash. Now and then also true for the neighbour of such a one.
 */
function needsLook(four: number): boolean {
  const quote = four ^ 0x22222222;
  const backslash = four ^ 0x5c5c5c5c;
  // Taking 0x20 (or 1) from each byte borrows from the top bit of those that are below.
  const below = (four - 0x20202020) | (quote - 0x01010101) | (backslash - 0x01010101);
  return ((four | below) & 0x80808080) !== 0;
}

function writeEscape(out: Uint8Array, at: number, letter: number, byte: number): number {
  out[at++] = 0x5c;
  out[at++] = letter;
  if (letter !== 0x75) return at;
  out[at++] = 0x30;
  out[at++] = 0x30;
  out[at++] = HEX[byte >> 4]!;
  out[at++] = HEX[byte & 15]!;
  return at;
}

function writeBase64(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at: number): number {
  let i = start;
  for (; i + 2 < end; i += 3) {
    const triple = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    out[at++] = BASE64[triple >> 18]!;
    out[at++] = BASE64[(triple >> 12) & 63]!;
    out[at++] = BASE64[(triple >> 6) & 63]!;
    out[at++] = BASE64[triple & 63]!;
  }
  if (i < end) {
    const rest = (bytes[i]! << 16) | (i + 1 < end ? bytes[i + 1]! << 8 : 0);
    out[at++] = BASE64[rest >> 18]!;
    out[at++] = BASE64[(rest >> 12) & 63]!;
    if (i + 1 < end) out[at++] = BASE64[(rest >> 6) & 63]!;
  }
  return at;
}
