/**
 * String formats of lexicons. What is common is told by a regular expression;
 * the rest is left to the reference, so that both always agree.
 */
import {
  isAtIdentifierString,
  isAtUriString,
  isDatetimeString,
  isValidDid,
  isValidHandle,
  isValidNsid,
  isValidRecordKey,
  isValidTid,
  isValidUri,
  parseLanguageString,
} from '@atproto/syntax';
import { CID } from 'multiformats/cid';
import { monthAndDay, timeOfDay } from '../dates.ts';

export type FormatCheck = (text: string) => boolean;

/** SHA-256 CIDs of records and blobs in base32: the last character has two bits to spare, which must be 0. */
const usualCid = /^baf[yk]rei[a-z2-7]{51}[aeimquy4]$/;
const usualDid = /^did:plc:[a-z2-7]{24}$/;
const usualUri =
  /^at:\/\/did:plc:[a-z2-7]{24}\/(app\.bsky\.(feed\.(post|like|repost|generator)|graph\.(list|starterpack)))\/[a-zA-Z0-9]{1,64}$/;
const usualDatetime = new RegExp(`^[12]\\d{3}-${monthAndDay}T${timeOfDay}(?:\\.\\d{1,9})?Z$`);

/** Longest CID in text that is looked at. */
const maxCid = 128;

function isCid(text: string): boolean {
  return usualCid.test(text) || parseCid(text)?.toString() === text;
}

/** A CID in text, or null. */
function parseCid(text: string): CID | null {
  if (text.length > maxCid) return null;
  try {
    return CID.parse(text);
  } catch {
    return null;
  }
}

const rawCid = /^bafkrei[a-z2-7]{51}[aeimquy4]$/;
const rawCodec = 0x55;

/** Whether a link names a blob: CID version 1 with the codec for raw bytes. */
export function isBlobLink(text: string): boolean {
  if (rawCid.test(text)) return true;
  const cid = parseCid(text);
  return cid !== null && cid.version === 1 && cid.code === rawCodec;
}

/** Whether a `$link` can be read as a CID at all. */
export function isLink(text: string): boolean {
  return usualCid.test(text) || parseCid(text) !== null;
}

export const formats: Readonly<Record<string, FormatCheck>> = {
  'at-identifier': isAtIdentifierString,
  'at-uri': (text) => usualUri.test(text) || isAtUriString(text),
  cid: isCid,
  datetime: (text) => usualDatetime.test(text) || isDatetimeString(text),
  did: (text) => usualDid.test(text) || isValidDid(text),
  handle: isValidHandle,
  language: (text) => text === 'en' || parseLanguageString(text) !== null,
  nsid: isValidNsid,
  'record-key': isValidRecordKey,
  tid: isValidTid,
  uri: isValidUri,
};
