import { Cid } from './cid.ts';
import { RepoError } from './errors.ts';
import { latin1Text, utf8Text } from './text.ts';
import { isUtf8 } from './utf8.ts';

/** Deepest nesting of maps and lists that is read. Records in use stay below 20. */
export const MAX_CBOR_DEPTH = 128;

export const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, list: 4, map: 5, tag: 6, simple: 7 };

/** A decoded value. Maps are plain objects whose keys are own properties, `__proto__` too. */
export type CborValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | Cid
  | CborValue[]
  | { [key: string]: CborValue };

export type CborMap = { [key: string]: CborValue };

/** A place in CBOR bytes. `readHead` moves it and leaves the argument in `argument`. */
export class CborCursor {
  bytes: Buffer;
  at: number;
  end: number;
  /** Length, count, value or tag of the head read last. */
  argument = 0;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = asBuffer(bytes);
    this.at = start;
    this.end = end;
  }

  /**
   * Reads a head and returns its major type. Shortest form is required;
   * lengths are held against what is left, so that no caller can be made to
   * reserve memory for bytes that don't exist.
   */
  readHead(): number {
    if (this.at >= this.end) this.fail('ends in the middle');
    const first = this.bytes[this.at++]!;
    const major = first >> 5;
    const info = first & 31;
    if (info < 24) this.argument = info;
    else if (major !== MAJOR.simple) this.#longArgument(info);
    else this.argument = info;
    if (major >= MAJOR.bytes && major <= MAJOR.map) this.#checkLength(major);
    return major;
  }

  #longArgument(info: number): void {
    const size = 1 << (info - 24);
    if (info > 27) this.fail('indefinite length or reserved head');
    if (this.at + size > this.end) this.fail('ends in the middle');
    let value: number;
    if (size === 8) {
      value = this.bytes.readUInt32BE(this.at) * 0x1_0000_0000 + this.bytes.readUInt32BE(this.at + 4);
    } else {
      value = this.bytes.readUIntBE(this.at, size);
    }
    this.at += size;
    const least = size === 1 ? 24 : 2 ** (size * 4);
    if (value < least) this.fail('a number is not in its shortest form');
    this.argument = value;
  }

  #checkLength(major: number): void {
    // An item of a list takes a byte at least, an entry of a map two.
    const least = major === MAJOR.map ? this.argument * 2 : this.argument;
    if (least > this.end - this.at) this.fail('a length goes past the end');
  }

  /** The value of an integer head. Beyond 2^53 − 1 JSON would not keep it: refused. */
  integer(major: number): number {
    if (this.argument > Number.MAX_SAFE_INTEGER - major) this.fail('an integer is beyond 2^53');
    return major === MAJOR.unsigned ? this.argument : -1 - this.argument;
  }

  /** The float after a head 0xfb; only the 64-bit form is canonical, only finite values are data. */
  float(): number {
    if (this.at + 8 > this.end) this.fail('ends in the middle');
    const value = this.bytes.readDoubleBE(this.at);
    this.at += 8;
    if (!Number.isFinite(value)) this.fail('a float is not finite');
    return value;
  }

  /** After the head of a tag: moves past a link and returns where its CID begins and ends, as [start, at). */
  linkStart(): number {
    if (this.argument !== 42) this.fail('a tag other than 42');
    if (this.readHead() !== MAJOR.bytes) this.fail('a link is not bytes');
    if (this.argument < 2 || this.bytes[this.at] !== 0) this.fail('a link lacks its leading zero');
    const start = this.at + 1;
    this.at += this.argument;
    return start;
  }

  /**
   * Checks that a key of a map comes after the one before it (shorter first,
   * then by bytes), which also rules out the same key twice. `previous` is
   * the start of the one before, −1 for the first.
   */
  checkKeyOrder(previous: number, previousLength: number, start: number, length: number): void {
    if (previous < 0 || length > previousLength) return;
    if (length === previousLength) {
      const bytes = this.bytes;
      for (let i = 0; i < length; i++) {
        const difference = bytes[start + i]! - bytes[previous + i]!;
        if (difference > 0) return;
        if (difference < 0) break;
      }
    }
    this.fail('keys of a map are out of order or twice the same');
  }

  fail(message: string): never {
    throw new RepoError('bad-cbor', `CBOR: ${message}, at byte ${this.at}`);
  }
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Decodes one canonical DAG-CBOR value that fills the bytes to the end. Byte
 * strings and links are views into `bytes`.
 *
 * @throws RepoError `bad-cbor`
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  const cursor = new CborCursor(bytes);
  const value = readValue(cursor);
  if (cursor.at !== cursor.end) cursor.fail('bytes are left over');
  return value;
}

/** Reads one value at the cursor and leaves the cursor behind it. */
export function readValue(cursor: CborCursor, depth = 0): CborValue {
  const major = cursor.readHead();
  switch (major) {
    case MAJOR.unsigned:
    case MAJOR.negative:
      return cursor.integer(major);
    case MAJOR.bytes: {
      const start = cursor.at;
      cursor.at += cursor.argument;
      return cursor.bytes.subarray(start, cursor.at);
    }
    case MAJOR.text:
      return readText(cursor);
    case MAJOR.list:
      return readList(cursor, depth);
    case MAJOR.map:
      return readMap(cursor, depth);
    case MAJOR.tag: {
      const start = cursor.linkStart();
      return checkedCid(cursor.bytes.subarray(start, cursor.at));
    }
    default:
      return readSimple(cursor);
  }
}

function checkedCid(bytes: Uint8Array): Cid {
  const cid = new Cid(bytes);
  if (!cid.isDagCbor) cid.toString();
  return cid;
}

function readText(cursor: CborCursor): string {
  const start = cursor.at;
  const end = start + cursor.argument;
  cursor.at = end;
  const { bytes } = cursor;
  let i = start;
  while (i < end && bytes[i]! < 0x80) i++;
  if (i === end) return latin1Text(bytes, start, end);
  if (!isUtf8(bytes, i, end)) cursor.fail('text is not UTF-8');
  return utf8Text(bytes, start, end);
}

function readList(cursor: CborCursor, depth: number): CborValue[] {
  if (depth >= MAX_CBOR_DEPTH) cursor.fail('nested too deeply');
  const list: CborValue[] = [];
  for (let left = cursor.argument; left > 0; left--) list.push(readValue(cursor, depth + 1));
  return list;
}

function readMap(cursor: CborCursor, depth: number): CborMap {
  if (depth >= MAX_CBOR_DEPTH) cursor.fail('nested too deeply');
  const map: CborMap = {};
  let previous = -1;
  let previousLength = 0;
  for (let left = cursor.argument; left > 0; left--) {
    if (cursor.readHead() !== MAJOR.text) cursor.fail('a key of a map is not text');
    const start = cursor.at;
    const length = cursor.argument;
    cursor.checkKeyOrder(previous, previousLength, start, length);
    previous = start;
    previousLength = length;
    setOwn(map, readName(cursor), readValue(cursor, depth + 1));
  }
  return map;
}

const NAME_SLOTS = 256;
const LONGEST_NAME = 32;
/** Names of fields, the one met last in each slot. */
const names: (string | undefined)[] = Array(NAME_SLOTS).fill(undefined);

/** The text after its head, as `readText`; nearly all were met before, and making one anew costs more than finding it. */
function readName(cursor: CborCursor): string {
  const { bytes, at: start, argument: length } = cursor;
  if (length === 0 || length > LONGEST_NAME) return readText(cursor);
  const first = bytes[start]!;
  const middle = bytes[start + (length >> 1)]!;
  const last = bytes[start + length - 1]!;
  // Factors by which the names of frames and commits don't meet.
  const slot = (length * 37 + first * 7 + middle * 3 + last * 13) % NAME_SLOTS;
  const known = names[slot];
  if (known?.length === length) {
    let i = 0;
    while (i < length && known.charCodeAt(i) === bytes[start + i]) i++;
    if (i === length) {
      cursor.at = start + length;
      return known;
    }
  }
  const text = readText(cursor);
  // Of ASCII only, so that characters are bytes; and in the form that names of properties have.
  if (text.length === length) names[slot] = Object.keys({ [text]: 0 })[0];
  return text;
}

function setOwn(map: CborMap, key: string, value: CborValue): void {
  // A plain assignment to `__proto__` would set the prototype.
  if (key !== '__proto__') map[key] = value;
  else Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true });
}

/** Moves past one value of bytes that were decoded before, so that nothing has to be checked. */
export function skipValue(cursor: CborCursor): void {
  for (let left = 1; left > 0; left--) {
    const major = cursor.readHead();
    if (major === MAJOR.bytes || major === MAJOR.text) cursor.at += cursor.argument;
    else if (major === MAJOR.list) left += cursor.argument;
    else if (major === MAJOR.map) left += 2 * cursor.argument;
    else if (major === MAJOR.tag) left++;
    else if (major === MAJOR.simple && cursor.argument === 27) cursor.at += 8;
  }
}

function readSimple(cursor: CborCursor): CborValue {
  switch (cursor.argument) {
    case 20:
      return false;
    case 21:
      return true;
    case 22:
      return null;
    case 27:
      return cursor.float();
    default:
      return cursor.fail('undefined, a short float or another simple value');
  }
}
