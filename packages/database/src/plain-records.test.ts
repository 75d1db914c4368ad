import {
  betweenEvents,
  decodeEvents,
  type FormText,
  recordEventCid,
  recordEventEnd,
  recordEventHead,
  recordEventTail,
  standsAt,
} from '@headwater/events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cidOf } from '../testing/world.ts';
import { cellOf, RowPacker } from './packed-rows.ts';
import { plainRecord } from './plain-records.ts';
import { type Entry, prepare } from './prepare.ts';
import { columnsOf } from './tables.ts';

const did = `did:plc:${'a'.repeat(24)}`;
const whole = { seq: -1, time: '2026-06-01T00:00:00.000Z', did, commit: cidOf('c'), rev: '3mlwk3fbs2222' };
const nsids = ['app.bsky.feed.like', 'app.bsky.feed.repost', 'app.bsky.graph.follow', 'app.bsky.graph.block'];

const cids = [cidOf('a'), `bafkrei${'a'.repeat(52)}`];
const oddCids = [
  '',
  `bafyrei${'a'.repeat(51)}b`,
  `bafyrei${'a'.repeat(53)}`,
  `bafyrei${'A'.repeat(52)}`,
  'zb2rh',
];
const uris = [`at://${did}/app.bsky.feed.post/3kaaaaaaaaaaa`, `at://${did}/app.bsky.graph.list/x`];
const oddUris = [
  '',
  'at://alice.test/app.bsky.feed.post/x',
  'at://did:plc:abc/app.bsky.feed.post/x/y',
  `at://${did}`,
];
const dids = [did, `did:plc:${'b'.repeat(24)}`];
const oddDids = ['did:web:x.test', 'did:plc:short', 'did:web:x_y', 'alice.test', ''];
const times = ['2026-02-28T23:59:59.123Z', '2024-02-29T00:00:00.000Z'];
const oddTimes = ['2026-02-30T00:00:00.000Z', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00+02:00', 'now', ''];

/** Mostly what is usual. */
const mostly = (usual: readonly string[], odd: readonly unknown[]) =>
  fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...usual) },
    fc.constantFrom(...odd, null, 7, 'é', 'a"b'),
  );
const ref = fc.record({ cid: mostly(cids, oddCids), uri: mostly(uris, oddUris) });
const createdAt = mostly(times, oddTimes);

/** @param type what most of them say that they are */
function recordOf(nsid: string, type: string): fc.Arbitrary<Record<string, unknown>> {
  const $type = mostly([type], nsids);
  if (nsid.includes('graph')) return fc.record({ $type, subject: mostly(dids, oddDids), createdAt });
  return fc.record(
    { via: ref, $type, subject: ref, createdAt },
    { requiredKeys: ['$type', 'subject', 'createdAt'] },
  );
}

/** Records of one collection, as the backfiller writes them. */
function eventsOf(nsid: string, records: readonly unknown[]): string[] {
  const head = recordEventHead({ type: 'create', ...whole, collection: nsid });
  return records.map((record, i) => {
    const tail = recordEventTail(i === 0 ? { fetch: 'f', part: 0, fresh: true } : undefined);
    const middle = `3kaaaaaaaaaa${i}${recordEventCid}${cidOf(`record ${i}`)}${tail}`;
    return `${head}${middle}${JSON.stringify(record)}${recordEventEnd}`;
  });
}

/** Everything that was made of an entry, as texts. */
function rowsOf(events: Buffer): unknown {
  const packer = new RowPacker();
  const options = { keep: () => true, now: Date.parse('2026-06-01'), packer };
  return prepare(decodeEvents({ events }), options).map((entry: Entry) => ({
    ...entry,
    ops: entry.ops.map(({ version, ...op }) => ({
      ...op,
      rows:
        version &&
        [version.record, ...version.rows].map((row) => [
          row.table,
          ...columnsOf(row.table).columns.map((column) => cellOf(row, column)),
        ]),
    })),
  }));
}

describe('a record that is not parsed', () => {
  it('has the rows that it has when it is, or is refused as it is', () => {
    const types = fc.tuple(fc.constantFrom(...nsids), fc.constantFrom(...nsids), fc.nat(9));
    const lists = types.chain(([nsid, other, chance]) => {
      const record = recordOf(nsid, chance === 0 ? other : nsid);
      return fc.tuple(fc.constant(nsid), fc.array(record, { minLength: 2, maxLength: 6 }));
    });
    fc.assert(
      fc.property(lists, ([nsid, records]) => {
        const events = eventsOf(nsid, records);
        // Without a tab all is read by JSON.parse.
        const [plain, parsed] = [betweenEvents, ','].map((mark) => Buffer.from(`[${events.join(mark)}]`));
        expect(rowsOf(plain!)).toEqual(rowsOf(parsed!));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each(nsids)('is the usual one of %s', (nsid) => {
    const ref = { cid: cids[0]!, uri: uris[0]! };
    const subject = nsid.includes('graph') ? dids[0] : ref;
    const usual = { $type: nsid, subject, createdAt: times[0] };
    const records = [
      usual,
      usual,
      ...(nsid.includes('feed')
        ? [
            { via: ref, ...usual },
            { via: ref, ...usual },
          ]
        : []),
    ];
    const events = decodeEvents({ events: Buffer.from(`[${eventsOf(nsid, records).join(betweenEvents)}]`) });
    const told = events.map((event) => {
      const at = 'record' in event ? event[standsAt] : undefined;
      return at && 'form' in at && plainRecord(nsid, at as FormText);
    });
    const cid = expect.objectContaining({ start: expect.any(Number) });
    const subjectTold = nsid.includes('graph') ? dids[0] : { uri: uris[0], cid };
    expect(told[1]).toEqual({ subject: subjectTold, createdAt: times[0] });
    if (records.length > 2) expect(told[3]).toMatchObject({ via: { uri: uris[0], cid } });
  });
});
