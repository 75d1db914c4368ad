import { CborCursor, MAJOR, MAX_CBOR_DEPTH } from './cbor.ts';
import { anyCidText, CID_BYTES, isBlockCid } from './cid.ts';
import { RepoError } from './errors.ts';
import { JsonBytes } from './json-bytes.ts';

const COLON = 0x3a;
const COMMA = 0x2c;
/** Largest record in CBOR. */
export const MAX_RECORD_BYTES = 1 << 20;

/**
 * Writes DAG-CBOR as lexicon JSON, without a value in between. The text is
 * what JSON.stringify gives for the reference's lexToJson: links as
 * `{"$link":…}`, byte strings as `{"$bytes":…}` in base64 without padding,
 * floats as JavaScript writes them. Integers beyond 2^53, NaN and infinities
 * are refused, `__proto__` and NUL are kept.
 */
class LexiconWriter {
  #to = new JsonBytes();
  #in = new CborCursor(new Uint8Array(0));

  write(bytes: Buffer, start: number, end: number, to: JsonBytes): void {
    const cursor = this.#in;
    cursor.bytes = bytes;
    cursor.at = start;
    cursor.end = end;
    this.#to = to;
    this.#value(0);
    if (cursor.at !== end) cursor.fail('bytes are left over');
  }

  #value(depth: number): void {
    const cursor = this.#in;
    const major = cursor.readHead();
    if (major === MAJOR.text) this.#string();
    else if (major === MAJOR.map) this.#map(depth);
    else if (major === MAJOR.list) this.#list(depth);
    else if (major <= MAJOR.negative) this.#to.ascii(String(cursor.integer(major)));
    else if (major === MAJOR.tag) this.#link();
    else if (major === MAJOR.bytes) this.#bytes();
    else this.#to.ascii(simpleText(cursor));
  }

  #map(depth: number): void {
    const cursor = this.#in;
    if (depth >= MAX_CBOR_DEPTH) cursor.fail('nested too deeply');
    const count = cursor.argument;
    let previous = -1;
    let previousLength = 0;
    this.#to.byte(0x7b);
    for (let i = 0; i < count; i++) {
      if (i > 0) this.#to.byte(COMMA);
      if (cursor.readHead() !== MAJOR.text) cursor.fail('a key of a map is not text');
      const start = cursor.at;
      const length = cursor.argument;
      cursor.checkKeyOrder(previous, previousLength, start, length);
      previous = start;
      previousLength = length;
      this.#string();
      this.#to.byte(COLON);
      this.#value(depth + 1);
    }
    this.#to.byte(0x7d);
  }

  #list(depth: number): void {
    const cursor = this.#in;
    if (depth >= MAX_CBOR_DEPTH) cursor.fail('nested too deeply');
    const count = cursor.argument;
    this.#to.byte(0x5b);
    for (let i = 0; i < count; i++) {
      if (i > 0) this.#to.byte(COMMA);
      this.#value(depth + 1);
    }
    this.#to.byte(0x5d);
  }

  #string(): void {
    const cursor = this.#in;
    const end = cursor.at + cursor.argument;
    if (!this.#to.string(cursor.bytes, cursor.at, end)) cursor.fail('text is not UTF-8');
    cursor.at = end;
  }

  #link(): void {
    const cursor = this.#in;
    const start = cursor.linkStart();
    this.#to.ascii('{"$link":"');
    const isBlock = cursor.at - start === CID_BYTES && isBlockCid(cursor.bytes, start);
    if (isBlock) this.#to.cid(cursor.bytes, start);
    else this.#to.ascii(anyCidText(cursor.bytes.subarray(start, cursor.at)));
    this.#to.ascii('"}');
  }

  #bytes(): void {
    const cursor = this.#in;
    const start = cursor.at;
    cursor.at += cursor.argument;
    this.#to.ascii('{"$bytes":"');
    this.#to.base64(cursor.bytes, start, cursor.at);
    this.#to.ascii('"}');
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

const writer = new LexiconWriter();
const scratch = new JsonBytes();

/**
 * Lexicon JSON of any DAG-CBOR value that fills the range.
 *
 * @throws RepoError `bad-cbor` where it is not canonical or JSON can't say it
 */
export function cborToJson(bytes: Buffer, start = 0, end = bytes.length): string {
  scratch.reset();
  writer.write(bytes, start, end, scratch);
  return scratch.takeText();
}

/**
 * Lexicon JSON of a record: as cborToJson, a map at the top, at most 1 MiB.
 *
 * @throws RepoError `bad-cbor`, `bad-record`, `too-large`
 */
export function recordToJson(bytes: Buffer, start = 0, end = bytes.length): string {
  scratch.reset();
  appendRecord(scratch, bytes, start, end);
  return scratch.takeText();
}

/**
 * Appends the lexicon JSON of a record; where it throws, nothing is appended.
 *
 * @throws RepoError as recordToJson
 */
export function appendRecord(to: JsonBytes, bytes: Buffer, start = 0, end = bytes.length): void {
  if (end - start > MAX_RECORD_BYTES) throw new RepoError('too-large', `a record of ${end - start} bytes`);
  if (start < end && bytes[start]! >> 5 !== MAJOR.map) {
    throw new RepoError('bad-record', 'the record is not a map');
  }
  const before = to.length;
  try {
    writer.write(bytes, start, end, to);
  } catch (error) {
    to.length = before;
    throw error;
  }
}
