import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEvents, InvalidEntryError } from './codec.ts';
import {
  betweenEvents,
  recordEventCid,
  recordEventEnd,
  recordEventHead,
  recordEventTail,
  textOf,
} from './record-text.ts';
import { type RecordEvent, type StreamEvent, standsAt } from './types.ts';

const whole = {
  seq: -1,
  time: '2026-06-01T00:00:00.000Z',
  did: 'did:plc:a',
  commit: 'bafyc',
  rev: '3mlwk3fbs2222',
};
const end = { type: 'repo', ...whole, parts: 1, data: 'bafyd' };

interface Sent {
  type: 'create' | 'update';
  collection: string;
  rkey: string;
  record: unknown;
}

/** An entry as the backfiller writes it. */
function entryOf(records: readonly Sent[]): string {
  const events = records.map(({ type, collection, rkey, record }, i) => {
    const tail = recordEventTail(i === 0 ? { fetch: 'f', part: 0, fresh: true } : undefined);
    const head = recordEventHead({ type, ...whole, collection });
    return `${head}${rkey}${recordEventCid}bafy${i}${tail}${JSON.stringify(record)}${recordEventEnd}`;
  });
  return `[${[...events, JSON.stringify(end)].join(betweenEvents)}]`;
}

const text = fc.oneof(fc.stringMatching(/^[ !#-[\]-~]{0,8}$/), fc.string({ unit: 'binary', maxLength: 4 }));

/** Of a form, or nearly. */
const alike = fc.record(
  {
    via: fc.record({ cid: text, uri: text }),
    $type: fc.constantFrom('app.bsky.feed.like', 'x'),
    subject: fc.oneof(
      { weight: 3, arbitrary: fc.record({ cid: text, uri: text }) },
      text,
      fc.constantFrom({}, 1, null),
    ),
    createdAt: text,
  },
  { requiredKeys: ['$type', 'createdAt'] },
);

const sent = fc.array(
  fc.record({
    type: fc.constantFrom('create' as const, 'update' as const),
    collection: fc.constantFrom('app.bsky.feed.like', 'app.bsky.feed.post'),
    rkey: fc.stringMatching(/^[a-z0-9._:~-]{1,15}$/),
    record: fc.oneof(
      alike,
      fc.dictionary(fc.string({ unit: 'binary', maxLength: 6 }), fc.jsonValue({ maxDepth: 2 }), {
        maxKeys: 3,
      }),
    ),
  }),
  { minLength: 1, maxLength: 6 },
);

/** What the events say, or why there are none. */
function outcome(events: string | Buffer): unknown {
  try {
    return decodeEvents({ events }).map((event) => JSON.parse(JSON.stringify(event)));
  } catch (error) {
    if (error instanceof InvalidEntryError) return error.reason;
    throw error;
  }
}

const isRecord = (event: StreamEvent): event is RecordEvent => 'record' in event;

describe('an entry with tabs between its events', () => {
  it('says the same read as bytes and as a text, and where records stand', () => {
    fc.assert(
      fc.property(sent, (records) => {
        const text = entryOf(records);
        const bytes = Buffer.from(text);
        expect(outcome(bytes)).toEqual(outcome(text));
        for (const event of decodeEvents({ events: bytes }).filter(isRecord)) {
          const text = event[standsAt];
          if (text) expect(textOf(text)).toBe(JSON.stringify(event.record));
        }
      }),
    );
  });

  it('says where the texts of records stand that are like the one before', () => {
    const like = (uri: string, via?: string) => ({
      type: 'create' as const,
      collection: 'c',
      rkey: 'a',
      record: { ...(via && { via }), $type: 'l', subject: { uri }, n: 'é' },
    });
    const plain = (uri: string) => ({ ...like(uri), record: { ...like(uri).record, n: 'e' } });
    const lists = [plain('at://a'), plain('at://bc'), plain('"'), like('at://d'), plain('')];
    const events = decodeEvents({ events: Buffer.from(entryOf(lists)) }).filter(isRecord);
    const found = events.map(({ [standsAt]: at }) => {
      if (!at || !('form' in at)) return undefined;
      expect(at.form.text).toBe('{"$type":"l","subject":{"uri":""},"n":""}');
      const places = Array.from(at.texts.subarray(at.from, at.from + at.form.count * 2));
      return [0, 2].map((i) => at.bytes.toString('utf8', places[i], places[i + 1]));
    });
    expect(found).toEqual([undefined, ['at://bc', 'e'], undefined, undefined, ['', 'e']]);
  });

  it('says where every record stands but the first of its kind and those with escapes', () => {
    const record = (text: string) => ({
      type: 'create' as const,
      collection: 'c',
      rkey: 'a',
      record: { text },
    });
    const bytes = Buffer.from(entryOf(['a', 'é😀', '"', 'b'].map(record)));
    const stands = decodeEvents({ events: bytes })
      .filter(isRecord)
      .map((event) => event[standsAt] !== undefined);
    expect(stands).toEqual([false, true, false, true]);
  });

  it.each(['\\u0041', '\\"', '\\\\', 'é', '\x01', '', '","cid":"b'])(
    'may have %j in a record key or CID',
    (odd) => {
      const plain = { type: 'create' as const, collection: 'c', rkey: 'KEY', record: {} };
      const text = entryOf([plain, plain, plain]);
      const [key, cid] = [text.lastIndexOf('KEY'), text.lastIndexOf('bafy2')];
      for (const at of [key, cid]) {
        const changed = text.slice(0, at) + odd + text.slice(at + 1);
        expect(outcome(Buffer.from(changed))).toEqual(outcome(changed));
      }
    },
  );

  it('has one text for a record, wherever the names in it stand', () => {
    const text = entryOf(
      [0, 1].map(() => ({ type: 'create' as const, collection: 'c', rkey: 'a', record: {} })),
    );
    const bytes = Buffer.from(text.replaceAll('"record":{}', '"record":{"b":1,"10":2}'));
    const events = decodeEvents({ events: bytes }).filter(isRecord);
    expect(events.map((event) => event[standsAt])).toEqual([undefined, undefined]);
  });

  it('does not take a field of the entry for where a record stands', () => {
    const text = entryOf(
      [0, 1].map(() => ({ type: 'create' as const, collection: 'c', rkey: 'a', record: {} })),
    );
    const bytes = Buffer.from(text.replaceAll('"record":{}', '"record":{},"text":{"start":0}'));
    for (const event of decodeEvents({ events: bytes }).filter(isRecord))
      expect(event[standsAt]).toBeUndefined();
  });

  it.each(['"\\\\u0061"', '"time"'])('is refused as any other when %s is too deep', (name) => {
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const text = `[{"type":"create",${name}:${deep}},\t1]`;
    expect(outcome(Buffer.from(text))).toBe(outcome(text));
  });

  it('is read as JSON.parse reads it whatever is changed in it', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '\n',
        ',\n',
        ',\t',
        '"',
        '\\',
        '{',
        '}',
        '}}',
        ']',
        ',',
        '\t',
        '\r',
        '\0',
        '\x01',
        ' ',
        'é',
        '😀',
      ),
      fc.constantFrom(
        '\\u0041',
        '\\"',
        '"cid":"',
        ',"record":{}',
        ',"type":"delete"',
        ',"did":1',
        '{},"a":{}',
      ),
      fc.uint8Array({ minLength: 1, maxLength: 2 }),
    );
    const edits = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(3), piece), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(sent, edits, (records, changes) => {
        let bytes = Buffer.from(entryOf(records));
        for (const [where, gone, put] of changes) {
          const at = Math.floor(where * bytes.length);
          bytes = Buffer.concat([
            bytes.subarray(0, at),
            Buffer.from(put as string),
            bytes.subarray(at + gone),
          ]);
        }
        expect(outcome(bytes)).toEqual(outcome(bytes.toString()));
      }),
      { numRuns: 3000 },
    );
  });
});
