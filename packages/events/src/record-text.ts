import type { FetchPart, RecordEvent, RecordText } from './types.ts';

/** What all record events of one fetch, one type and one collection say alike. */
type Alike = Pick<RecordEvent, 'type' | 'seq' | 'time' | 'did' | 'commit' | 'rev' | 'collection'>;

/*
 * A record event's text in pieces, for who has records as bytes and many of them: the head, the record key, what is
 * between it and the CID, the CID, the tail, the record's JSON, the end. Record keys and CIDs have nothing to be escaped.
 */

/** Up to the record key; alike in many events. */
export function recordEventHead(alike: Alike): string {
  return `${JSON.stringify(alike).slice(0, -1)},"rkey":"`;
}

/** Between the record key and the CID. */
export const recordEventCid = '","cid":"';

/** Between the CID and the record. @param part of the first event of an entry */
export function recordEventTail(part?: FetchPart): string {
  return part ? `",${JSON.stringify(part).slice(1, -1)},"record":` : '","record":';
}

/** After the record. */
export const recordEventEnd = '}';

/**
 * Between the events of a list: a tab, by which they are found without reading all, since no text in JSON holds one. Not
 * the end of a line: who looks with redis-cli has one line for each value.
 */
export const betweenEvents = ',\t';

/** A record's JSON as a text of its own. */
export function textOf(record: RecordText | string): string {
  return typeof record === 'string' ? record : record.bytes.toString('utf8', record.start, record.end);
}
