import { CborCursor, MAJOR, MAX_CBOR_DEPTH } from './cbor.ts';
import { anyCidText, CID_BYTES, CID_CHARS, isBlockCid, writeCid } from './cid.ts';
import { RepoError } from './errors.ts';
import { latin1Text, utf8Text } from './text.ts';
import { utf8SequenceLength } from './utf8.ts';

const QUOTE = 0x22;
const COLON = 0x3a;
const COMMA = 0x2c;
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

/** What a buffer for output may keep when it is not in use. */
const KEEP_BYTES = 1 << 20;

/**
 * Writes DAG-CBOR as lexicon JSON into bytes of its own, without a value in
 * between. The text is what JSON.stringify gives for the reference's
 * lexToJson: links as `{"$link":…}`, byte strings as `{"$bytes":…}` in base64
 * without padding, floats as JavaScript writes them. Integers beyond 2^53,
 * NaN and infinities are refused, `__proto__` and NUL are kept.
 */
class JsonWriter {
  #out = Buffer.allocUnsafe(KEEP_BYTES >> 2);
  #length = 0;
  #wide = false;
  #outView = viewOf(this.#out);
  #inView = viewOf(this.#out);
  #in = new CborCursor(new Uint8Array(0));

  /** JSON of the one value that fills the range. Throws RepoError `bad-cbor` or `bad-record`. */
  write(bytes: Buffer, start: number, end: number, mapOnly: boolean): string {
    const cursor = this.#in;
    if (cursor.bytes !== bytes) this.#inView = viewOf(bytes);
    cursor.bytes = bytes;
    cursor.at = start;
    cursor.end = end;
    this.#length = 0;
    this.#wide = false;
    if (mapOnly && start < end && bytes[start]! >> 5 !== MAJOR.map) {
      throw new RepoError('bad-record', 'the record is not a map');
    }
    this.#value(0);
    if (cursor.at !== end) cursor.fail('bytes are left over');
    return this.#text();
  }

  #text(): string {
    const out = this.#out;
    const text = this.#wide ? utf8Text(out, 0, this.#length) : latin1Text(out, 0, this.#length);
    if (out.length > KEEP_BYTES) {
      this.#out = Buffer.allocUnsafe(KEEP_BYTES >> 2);
      this.#outView = viewOf(this.#out);
    }
    return text;
  }

  #value(depth: number): void {
    const cursor = this.#in;
    const major = cursor.readHead();
    if (major === MAJOR.text) this.#string();
    else if (major === MAJOR.map) this.#map(depth);
    else if (major === MAJOR.list) this.#list(depth);
    else if (major <= MAJOR.negative) this.#ascii(String(cursor.integer(major)));
    else if (major === MAJOR.tag) this.#link();
    else if (major === MAJOR.bytes) this.#bytes();
    else this.#ascii(simpleText(cursor));
  }

  #map(depth: number): void {
    const cursor = this.#in;
    if (depth >= MAX_CBOR_DEPTH) cursor.fail('nested too deeply');
    const count = cursor.argument;
    let previous = -1;
    let previousLength = 0;
    this.#byte(0x7b);
    for (let i = 0; i < count; i++) {
      if (i > 0) this.#byte(COMMA);
      if (cursor.readHead() !== MAJOR.text) cursor.fail('a key of a map is not text');
      const start = cursor.at;
      const length = cursor.argument;
      cursor.checkKeyOrder(previous, previousLength, start, length);
      previous = start;
      previousLength = length;
      this.#string();
      this.#byte(COLON);
      this.#value(depth + 1);
    }
    this.#byte(0x7d);
  }

  #list(depth: number): void {
    const cursor = this.#in;
    if (depth >= MAX_CBOR_DEPTH) cursor.fail('nested too deeply');
    const count = cursor.argument;
    this.#byte(0x5b);
    for (let i = 0; i < count; i++) {
      if (i > 0) this.#byte(COMMA);
      this.#value(depth + 1);
    }
    this.#byte(0x5d);
  }

  #string(): void {
    const cursor = this.#in;
    const bytes = cursor.bytes;
    const end = cursor.at + cursor.argument;
    // A control character takes six bytes.
    this.#reserve(6 * cursor.argument + 2);
    const out = this.#out;
    let o = this.#length;
    out[o++] = QUOTE;
    for (let i = cursor.at; i < end; i++) {
      const plain = this.#copyPlain(i, end, o);
      i += plain;
      o += plain;
      if (i === end) break;
      const byte = bytes[i]!;
      const letter = ESCAPES[byte]!;
      if (letter === PLAIN) out[o++] = byte;
      else if (letter === WIDE) {
        const size = utf8SequenceLength(bytes, i, end);
        if (size === 0) cursor.fail('text is not UTF-8');
        this.#wide = true;
        out[o++] = byte;
        for (let k = 1; k < size; k++) out[o++] = bytes[++i]!;
      } else o = writeEscape(out, o, letter, byte);
    }
    out[o++] = QUOTE;
    this.#length = o;
    cursor.at = end;
  }

  /** Copies from `start` four bytes at a time, as long as none needs a closer look. Returns how many. */
  #copyPlain(start: number, end: number, to: number): number {
    const from = this.#inView;
    const out = this.#outView;
    let i = start;
    for (; i + 4 <= end; i += 4) {
      const four = from.getInt32(i, true);
      if (needsLook(four)) break;
      out.setInt32(to + i - start, four, true);
    }
    return i - start;
  }

  #link(): void {
    const cursor = this.#in;
    const start = cursor.linkStart();
    this.#ascii('{"$link":"');
    if (cursor.at - start === CID_BYTES && isBlockCid(cursor.bytes, start)) {
      this.#reserve(CID_CHARS + 2);
      writeCid(cursor.bytes, start, this.#out, this.#length);
      this.#length += CID_CHARS;
    } else this.#ascii(anyCidText(cursor.bytes.subarray(start, cursor.at)));
    this.#ascii('"}');
  }

  #bytes(): void {
    const cursor = this.#in;
    const start = cursor.at;
    cursor.at += cursor.argument;
    this.#ascii('{"$bytes":"');
    this.#reserve(2 * cursor.argument + 4);
    this.#length = writeBase64(cursor.bytes, start, cursor.at, this.#out, this.#length);
    this.#ascii('"}');
  }

  #byte(byte: number): void {
    this.#reserve(1);
    this.#out[this.#length++] = byte;
  }

  #ascii(text: string): void {
    this.#reserve(text.length);
    const out = this.#out;
    let o = this.#length;
    for (let i = 0; i < text.length; i++) out[o++] = text.charCodeAt(i);
    this.#length = o;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#out.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#out.length * 2, this.#length + more));
    this.#out.copy(grown, 0, 0, this.#length);
    this.#out = grown;
    this.#outView = viewOf(grown);
  }
}

function simpleText(cursor: CborCursor): string {
  switch (cursor.argument) {
    case 20:
      return 'false';
    case 21:
      return 'true';
    case 22:
      return 'null';
    case 27:
      return String(cursor.float());
    default:
      return cursor.fail('undefined, a short float or another simple value');
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

const writer = new JsonWriter();

/**
 * Lexicon JSON of any DAG-CBOR value.
 *
 * @throws RepoError `bad-cbor` where it is not canonical or JSON can't say it
 */
export function cborToJson(bytes: Buffer, start = 0, end = bytes.length): string {
  return writer.write(bytes, start, end, false);
}

/**
 * Lexicon JSON of a record: as cborToJson, and a map at the top.
 *
 * @throws RepoError `bad-cbor`, `bad-record`
 */
export function recordToJson(bytes: Buffer, start = 0, end = bytes.length): string {
  return writer.write(bytes, start, end, true);
}
