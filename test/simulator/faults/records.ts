import { array, bytes, encodeJson, head, integer, type Json, map, text } from '../protocol/cbor.ts';

/**
 * What becomes of a record that is odd.
 * - `kept`: its row has to be there, losslessly
 * - `refused`: no row of it may be there
 * - `either`: kept or refused; its neighbours are indexed in any case
 */
export type Fate = 'kept' | 'refused' | 'either';

interface OddRecord {
  fate: Fate;
  collection?: string;
  rkey?: string;
  block: Buffer;
}

const POST = 'app.bsky.feed.post';
const AT = '2026-05-01T00:00:00.000Z';
const DID = 'did:plc:ewvi7nxzyoun6zhxrhs64oiz';
const CID = 'bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku';

function post(more: Json = {}): Buffer {
  return encodeJson({ $type: POST, text: 'odd', createdAt: AT, ...more });
}

/** A post with a further field whose value is CBOR of any kind. */
function postWith(name: string, value: Buffer): Buffer {
  return map({ $type: text(POST), text: text('odd'), createdAt: text(AT), [name]: value });
}

/** Records that a hostile or careless account may sign, by name. */
export const RECORD_FAULTS = {
  /** Valid JSON, but no PostgreSQL text. */
  'record-nul': { fate: 'kept', block: post({ text: 'before\u0000after' }) },
  'record-nul-in-name': {
    fate: 'kept',
    collection: 'app.bsky.graph.list',
    block: encodeJson({
      $type: 'app.bsky.graph.list',
      name: 'a\u0000b',
      purpose: 'app.bsky.graph.defs#modlist',
      createdAt: AT,
    }),
  },
  /** Bytes that are no UTF-8: a lone surrogate. */
  'record-surrogate': {
    fate: 'refused',
    block: map({ $type: text(POST), createdAt: text(AT), text: Buffer.of(0x63, 0xed, 0xa0, 0x80) }),
  },
  'record-bad-utf8': {
    fate: 'refused',
    block: map({ $type: text(POST), createdAt: text(AT), text: Buffer.of(0x62, 0xc3, 0x28) }),
  },
  'record-float': { fate: 'either', block: postWith('x', Buffer.of(0xfb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0)) },
  'record-nan': { fate: 'refused', block: postWith('x', Buffer.of(0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0)) },
  'record-big-integer': {
    fate: 'either',
    block: postWith('x', Buffer.of(0x1b, 0x7f, 255, 255, 255, 255, 255, 255, 255)),
  },
  'record-proto': { fate: 'either', block: postWith('__proto__', map({ polluted: text('yes') })) },
  'record-constructor': { fate: 'either', block: postWith('constructor', map({ prototype: text('yes') })) },
  'record-deep': { fate: 'either', block: postWith('x', nested(60)) },
  'record-very-deep': { fate: 'refused', block: postWith('x', nested(100_000)) },
  'record-long-list': { fate: 'refused', block: postWith('x', head(4, 0xfffffff0)) },
  'record-no-map': { fate: 'refused', block: text('just a text') },
  'record-list': { fate: 'refused', block: array([text('a')]) },
  'record-trailing': { fate: 'refused', block: Buffer.concat([post(), Buffer.of(0)]) },
  'record-unsorted-keys': { fate: 'either', block: unsorted() },
  'record-twice-a-key': {
    fate: 'refused',
    block: Buffer.concat([Buffer.of(0xa2), text('a'), integer(1), text('a'), integer(2)]),
  },
  'record-odd-tag': { fate: 'refused', block: postWith('x', Buffer.concat([Buffer.of(0xc1), integer(1)])) },
  'record-undefined': { fate: 'refused', block: postWith('x', Buffer.of(0xf7)) },
  'record-bad-link': {
    fate: 'refused',
    block: postWith('x', Buffer.concat([Buffer.of(0xd8, 0x2a), bytes(Buffer.of(0, 1, 2, 3))])),
  },
  'record-huge': { fate: 'refused', block: post({ text: 'x', filler: 'y'.repeat(1_100_000) }) },
  'record-large': { fate: 'either', block: post({ text: 'x', filler: 'z'.repeat(300_000) }) },
  'record-no-type': { fate: 'refused', block: encodeJson({ text: 'odd', createdAt: AT }) },
  'record-other-type': {
    fate: 'refused',
    block: encodeJson({
      $type: 'app.bsky.feed.like',
      subject: { uri: `at://${DID}/${POST}/3k`, cid: CID },
      createdAt: AT,
    }),
  },
  'record-no-text': { fate: 'refused', block: encodeJson({ $type: POST, createdAt: AT }) },
  'record-text-number': { fate: 'refused', block: post({ text: 5 }) },
  'record-bad-date': { fate: 'refused', block: post({ createdAt: 'yesterday' }) },
  'record-early-date': { fate: 'either', block: post({ createdAt: '0001-01-01T00:00:00.000Z' }) },
  'record-late-date': { fate: 'kept', block: post({ createdAt: '9999-12-31T23:59:59.999Z' }) },
  'record-long-text': { fate: 'refused', block: post({ text: 'x'.repeat(30_001) }) },
  'record-bad-subject': {
    fate: 'refused',
    collection: 'app.bsky.feed.like',
    block: encodeJson({ $type: 'app.bsky.feed.like', subject: { uri: 'nonsense', cid: CID }, createdAt: AT }),
  },
  'record-subject-text': {
    fate: 'refused',
    collection: 'app.bsky.feed.like',
    block: encodeJson({ $type: 'app.bsky.feed.like', subject: 'nonsense', createdAt: AT }),
  },
  'record-follow-nobody': {
    fate: 'refused',
    collection: 'app.bsky.graph.follow',
    block: encodeJson({ $type: 'app.bsky.graph.follow', subject: 'nobody', createdAt: AT }),
  },
  'record-gate-of-other': {
    fate: 'refused',
    collection: 'app.bsky.feed.threadgate',
    block: encodeJson({
      $type: 'app.bsky.feed.threadgate',
      post: `at://${DID}/${POST}/3kgate`,
      createdAt: AT,
    }),
  },
  'record-item-of-other': {
    fate: 'refused',
    collection: 'app.bsky.graph.listitem',
    block: encodeJson({
      $type: 'app.bsky.graph.listitem',
      list: `at://${DID}/app.bsky.graph.list/3k`,
      subject: DID,
      createdAt: AT,
    }),
  },
  'record-profile-elsewhere': {
    fate: 'either',
    collection: 'app.bsky.actor.profile',
    rkey: 'other',
    block: encodeJson({ $type: 'app.bsky.actor.profile', displayName: 'x' }),
  },
  'record-backslashes': {
    fate: 'kept',
    block: post({ text: '\\N \\. \t \r\n \\\\ " \' $$ \u2028 {"a":1}' }),
  },
  'record-emoji': { fate: 'kept', block: post({ text: '👩‍👩‍👧‍👦 e\u0301 \ufeff \u202e' }) },
  'record-bytes': { fate: 'kept', block: postWith('x', bytes(Buffer.of(0, 1, 2, 255))) },
} as const satisfies Record<string, OddRecord>;

export type RecordFaultName = keyof typeof RECORD_FAULTS;

/** An odd record and the path under which it stands. */
export function oddRecord(name: RecordFaultName, tid: string): { path: string; block: Buffer; fate: Fate } {
  const { collection = POST, rkey = tid, block, fate }: OddRecord = RECORD_FAULTS[name];
  return { path: `${collection}/${rkey}`, block, fate };
}

function nested(depth: number): Buffer {
  return Buffer.concat([Buffer.alloc(depth, 0x81), Buffer.of(0x01)]);
}

function unsorted(): Buffer {
  return Buffer.concat([
    head(5, 3),
    ...[text('createdAt'), text(AT), text('$type'), text(POST), text('text'), text('odd')],
  ]);
}
