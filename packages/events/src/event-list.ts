import { isUtf8 } from 'node:buffer';
import { parseJson } from './escaped-keys.ts';
import { endOfText, Form, standsAt as isAt } from './form.ts';
import { recordEventCid, recordEventHead, recordEventTail, textOf } from './record-text.ts';
import { cidStandsAt, type FormText, type RecordEvent, type RecordText, standsAt } from './types.ts';

const TAB = 0x09;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

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
type Names = readonly [rkey: string, cid: RecordText];
const maxForms = 2;
const textsAtOnce = 1_024;

/**
 * A record event of which only what differs from the one before was read. A class, for objects of one shape: there are
 * many of them. What few ask for is read when it is asked for.
 */
export class AlikeEvent implements RecordEvent {
  type: RecordEvent['type'];
  seq: number;
  time: string;
  did: string;
  commit: string;
  rev: string;
  collection: string;
  rkey: string;
  [standsAt]: RecordText | FormText | undefined;
  [cidStandsAt]: RecordText;
  private parsed: Record<string, unknown> | undefined;

  /** @param record undefined for a record of a form, which can't but be JSON */
  constructor(
    alike: Alike,
    rkey: string,
    cid: RecordText,
    record: Record<string, unknown> | undefined,
    at: RecordText | FormText | undefined,
  ) {
    this.type = alike.type;
    this.seq = alike.seq;
    this.time = alike.time;
    this.did = alike.did;
    this.commit = alike.commit;
    this.rev = alike.rev;
    this.collection = alike.collection;
    this.rkey = rkey;
    this[standsAt] = at;
    this[cidStandsAt] = cid;
    this.parsed = record;
  }

  get cid(): string {
    return textOf(this[cidStandsAt]);
  }

  get record(): Record<string, unknown> {
    this.parsed ??= JSON.parse(textOf(this[standsAt]!)) as Record<string, unknown>;
    return this.parsed;
  }

  /** All that the entry says of it. */
  toJSON(): RecordEvent {
    const { type, seq, time, did, commit, rev, collection, rkey, cid, record } = this;
    return { type, seq, time, did, commit, rev, collection, rkey, cid, record };
  }
}

/** Reads the events of one list, of which most begin like the one before. */
class Pieces {
  readonly #bytes: Buffer;
  #alike: Alike | undefined;
  #head = Buffer.alloc(0);
  #forms: readonly Form[] = [];
  /** Records of which the form may still be learnt: of many collections they have none. */
  #lessons = 0;
  #texts = new Int32Array(0);
  #taken = 0;

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
    const rkey = start + this.#head.length;
    if (rkey > end || bytes.compare(this.#head, 0, this.#head.length, start, rkey) !== 0) return undefined;
    const rkeyEnd = endOfText(bytes, rkey, end);
    const cid = rkeyEnd + cidBytes.length;
    if (!isAt(bytes, cidBytes, rkeyEnd)) return undefined;
    const cidEnd = endOfText(bytes, cid, end);
    const record = cidEnd + tailBytes.length;
    if (!isAt(bytes, tailBytes, cidEnd) || rkey === rkeyEnd || cid === cidEnd) return undefined;
    if (bytes[record] !== OPEN_BRACE || bytes[end - 1] !== CLOSE_BRACE) return undefined;
    const names = [bytes.toString('latin1', rkey, rkeyEnd), { bytes, start: cid, end: cidEnd }] as const;
    return this.#ofForm(names, record, end - 1) ?? this.#parsed(names, record, end - 1);
  }

  #ofForm([rkey, cid]: Names, start: number, end: number): RecordEvent | undefined {
    const bytes = this.#bytes;
    for (const form of this.#forms) {
      const from = this.#roomFor(form.count * 2);
      const texts = this.#texts;
      if (!form.read(bytes, start, end, texts, from)) continue;
      this.#taken = from + form.count * 2;
      return new AlikeEvent(this.#alike!, rkey, cid, undefined, { bytes, start, end, form, texts, from });
    }
    return undefined;
  }

  /** Where there is room for so many numbers in `#texts`: one list for many records. */
  #roomFor(count: number): number {
    if (this.#taken + count > this.#texts.length) {
      this.#texts = new Int32Array(textsAtOnce);
      this.#taken = 0;
    }
    return this.#taken;
  }

  #parsed([rkey, cid]: Names, start: number, end: number): RecordEvent {
    const text = this.#bytes.toString('utf8', start, end);
    const stands = !text.includes('\\') && !numberedName.test(text);
    const at = stands ? { bytes: this.#bytes, start, end } : undefined;
    const record = parseJson(text) as Record<string, unknown>;
    this.#learnForm(record);
    return new AlikeEvent(this.#alike!, rkey, cid, record, at);
  }

  #learn(event: RecordEvent, start: number): void {
    this.#alike = undefined;
    if (event?.type !== 'create' && event?.type !== 'update') return;
    const { type, seq, time, did, commit, rev, collection } = event;
    const alike = { type, seq, time, did, commit, rev, collection };
    this.#head = Buffer.from(recordEventHead(alike));
    if (!isAt(this.#bytes, this.#head, start)) return;
    this.#alike = alike;
    this.#forms = [];
    this.#lessons = maxForms;
    this.#learnForm(event.record);
  }

  /** Such as likes with and without a `via`. */
  #learnForm(record: Record<string, unknown>): void {
    if (this.#lessons === 0) return;
    this.#lessons -= 1;
    const form = typeof record === 'object' && record !== null ? Form.of(record) : undefined;
    if (form) this.#forms = [...this.#forms, form];
  }
}
