/**
 * Likes, reposts, follows and blocks as nearly all of them are, four of five records: told from the bytes of their
 * entry, without parsing them. What is not told so is not wrong: it is parsed, and judged by its lexicon.
 */
import type { FormText } from '@headwater/events';
import type { Lexical } from './collections/collection.ts';
import { formats } from './lexicon/formats.ts';

/** What a builder needs of a record, given where its texts stand; undefined where it is not told whether it is valid. */
type Reader = (bytes: Buffer, texts: Int32Array, from: number) => Lexical | undefined;

const strongRef = '{"cid":"","uri":""}';
const readers = new Map<string, { nsid: string; read: Reader }>();
for (const nsid of ['app.bsky.feed.like', 'app.bsky.feed.repost']) {
  const rest = `"$type":"${nsid}","subject":${strongRef},"createdAt":""}`;
  readers.set(`{${rest}`, { nsid, read: ofSubject });
  readers.set(`{"via":${strongRef},${rest}`, { nsid, read: ofSubjectVia });
}
for (const nsid of ['app.bsky.graph.follow', 'app.bsky.graph.block']) {
  readers.set(`{"$type":"${nsid}","subject":"","createdAt":""}`, { nsid, read: ofDid });
}

/**
 * A record's contents, as a builder reads them; undefined where they are to be parsed. CIDs are left where they stand.
 *
 * @param nsid of the record's collection
 */
export function plainRecord(nsid: string, { bytes, form, texts, from }: FormText): Lexical | undefined {
  const known = readers.get(form.text);
  return known?.nsid === nsid ? known.read(bytes, texts, from) : undefined;
}

function ofSubject(bytes: Buffer, texts: Int32Array, from: number): Lexical | undefined {
  const subject = refAt(bytes, texts, from);
  const createdAt = subject && timeAt(bytes, texts, from + 4);
  return createdAt && { subject, createdAt };
}

function ofSubjectVia(bytes: Buffer, texts: Int32Array, from: number): Lexical | undefined {
  const via = refAt(bytes, texts, from);
  const record = via && ofSubject(bytes, texts, from + 4);
  return record && { subject: record.subject, via, createdAt: record.createdAt };
}

function ofDid(bytes: Buffer, texts: Int32Array, from: number): Lexical | undefined {
  const subject = bytes.toString('latin1', texts[from], texts[from + 1]);
  if (!formats['did']!(subject)) return undefined;
  const createdAt = timeAt(bytes, texts, from + 2);
  return createdAt && { subject, createdAt };
}

function refAt(bytes: Buffer, texts: Int32Array, from: number): Lexical | undefined {
  const [start, end] = [texts[from]!, texts[from + 1]!];
  if (!isUsualCid(bytes, start, end)) return undefined;
  const uri = bytes.toString('latin1', texts[from + 2], texts[from + 3]);
  return formats['at-uri']!(uri) ? { uri, cid: { bytes, start, end } } : undefined;
}

function timeAt(bytes: Buffer, texts: Int32Array, from: number): string | undefined {
  const text = bytes.toString('latin1', texts[from], texts[from + 1]);
  return formats['datetime']!(text) ? text : undefined;
}

/** SHA-256 CIDs of records and blobs in base32: the last character has two bits to spare, which must be 0. */
const cidStart = Buffer.from('bafyrei');
const rawLetter = 0x6b;
const codecAt = 3;
const cidLength = 59;
const isBase32 = tableOf('abcdefghijklmnopqrstuvwxyz234567');
const isLast = tableOf('aeimquy4');

function isUsualCid(bytes: Buffer, start: number, end: number): boolean {
  if (end - start !== cidLength) return false;
  let at = start;
  for (let i = 0; i < cidStart.length; i++, at++) {
    if (bytes[at] !== cidStart[i] && !(i === codecAt && bytes[at] === rawLetter)) return false;
  }
  for (; at < end; at++) if (isBase32[bytes[at]!] === 0) return false;
  return isLast[bytes[end - 1]!] === 1;
}

function tableOf(chars: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const char of chars) table[char.charCodeAt(0)] = 1;
  return table;
}
