import { isUtf8 } from 'node:buffer';
import { parseJson } from './escaped-keys.ts';
import { recordEventCid, recordEventHead, recordEventTail } from './record-text.ts';
import { type RecordEvent, type RecordText, standsAt } from './types.ts';

const TAB = 0x09;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

const cidBytes = Buffer.from(recordEventCid);
const tailBytes = Buffer.from(recordEventTail());

/**
 * A list of events with tabs between them, as whole fetches are sent: read one by one, since texts and objects of
 * one record die young, where those of a whole list would live through V8's collections. What the events of one fetch
 * and collection say alike is parsed once, and afterwards only compared.
 *
 * @returns what JSON.parse makes of the list; undefined when it has no tabs, or can't be read this way
 */
export function readList(bytes: Buffer): unknown[] | undefined {
  if (bytes[0] !== OPEN || bytes[bytes.length - 1] !== CLOSE || !bytes.includes(TAB)) return undefined;
  // A record's bytes go into its row as they are.
  if (!isUtf8(bytes)) return undefined;
  const pieces = new Pieces(bytes);
  const events: unknown[] = [];
  try {
    for (let start = 1; start < bytes.length; ) {
      const tab = bytes.indexOf(TAB, start);
      const end = (tab < 0 ? bytes.length : tab) - 1;
      if (tab >= 0 && bytes[end] !== COMMA) return undefined;
      events.push(pieces.read(start, end));
      start = end + 2;
    }
  } catch {
    // Pieces that are no JSON by themselves, or are too deep: whether the whole can be read, others find out.
    return undefined;
  }
  return events;
}

/** Names that are numbers come first in what JSON.stringify writes, wherever they stood. */
const numberedName = /"\d+":/;

type Alike = Omit<RecordEvent, 'rkey' | 'cid' | 'record'>;

/** A class, for objects of one shape: there are many of them. */
class AlikeEvent implements RecordEvent {
  type: RecordEvent['type'];
  seq: number;
  time: string;
  did: string;
  commit: string;
  rev: string;
  collection: string;
  rkey: string;
  cid: string;
  record: Record<string, unknown>;

  constructor(
    alike: Alike,
    rkey: string,
    cid: string,
    record: Record<string, unknown>,
    at: RecordText | undefined,
  ) {
    this.type = alike.type;
    this.seq = alike.seq;
    this.time = alike.time;
    this.did = alike.did;
    this.commit = alike.commit;
    this.rev = alike.rev;
    this.collection = alike.collection;
    this.rkey = rkey;
    this.cid = cid;
    this.record = record;
    if (at) this[standsAt] = at;
  }

  [standsAt]?: RecordText;
}

/** Reads the events of one list, of which most begin like the one before. */
class Pieces {
  readonly #bytes: Buffer;
  #alike: Alike | undefined;
  #head = Buffer.alloc(0);

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** @throws SyntaxError */
  read(start: number, end: number): unknown {
    const event = this.#alike && this.#readAlike(start, end);
    if (event) return event;
    const parsed = parseJson(this.#bytes.toString('utf8', start, end)) as RecordEvent;
    this.#learn(parsed, start);
    return parsed;
  }

  /** The next record of the same fetch, type and collection; undefined if it is anything else, or written otherwise. */
  #readAlike(start: number, end: number): RecordEvent | undefined {
    const bytes = this.#bytes;
    if (!this.#stands(this.#head, start)) return undefined;
    const rkey = start + this.#head.length;
    const rkeyEnd = this.#endOfText(rkey, end);
    const cid = rkeyEnd + cidBytes.length;
    if (!this.#stands(cidBytes, rkeyEnd)) return undefined;
    const cidEnd = this.#endOfText(cid, end);
    const record = cidEnd + tailBytes.length;
    if (!this.#stands(tailBytes, cidEnd)) return undefined;
    if (bytes[record] !== OPEN_BRACE || bytes[end - 1] !== CLOSE_BRACE) return undefined;
    const text = bytes.toString('utf8', record, end - 1);
    const names = [bytes.toString('latin1', rkey, rkeyEnd), bytes.toString('latin1', cid, cidEnd)] as const;
    const stands = !text.includes('\\') && !numberedName.test(text);
    const at = stands ? { bytes, start: record, end: end - 1 } : undefined;
    return new AlikeEvent(this.#alike!, ...names, parseJson(text) as Record<string, unknown>, at);
  }

  #stands(what: Buffer, at: number): boolean {
    const end = at + what.length;
    return end <= this.#bytes.length && this.#bytes.compare(what, 0, what.length, at, end) === 0;
  }

  /** Where the quote is that ends a text; `end` if it is not of printable ASCII alone, without an escape. */
  #endOfText(at: number, end: number): number {
    for (; at < end; at++) {
      const byte = this.#bytes[at]!;
      if (byte === QUOTE) return at;
      if (byte === BACKSLASH || byte < SPACE || byte >= 0x80) return end;
    }
    return end;
  }

  #learn(event: RecordEvent, start: number): void {
    this.#alike = undefined;
    if (event?.type !== 'create' && event?.type !== 'update') return;
    const { type, seq, time, did, commit, rev, collection } = event;
    const alike = { type, seq, time, did, commit, rev, collection };
    this.#head = Buffer.from(recordEventHead(alike));
    if (this.#stands(this.#head, start)) this.#alike = alike;
  }
}
