import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeEvents,
  decodeLabels,
  decodeRepoJob,
  encodeEvents,
  encodeRecordEvent,
  encodeRepoJob,
  glanceAt,
  InvalidEntryError,
  type RecordEvent,
  recordEventCid,
  recordEventEnd,
  recordEventHead,
  recordEventTail,
  type StreamEvent,
} from './index.ts';

const commit = {
  seq: 7,
  time: '2026-01-01T00:00:00.000Z',
  did: 'did:plc:a',
  commit: 'bafyc',
  rev: '3kaaaaaaaaa2a',
};
const create: RecordEvent = {
  type: 'create',
  ...commit,
  collection: 'app.bsky.feed.post',
  rkey: '3k',
  cid: 'bafyr',
  record: { text: 'a\u0000b' },
};
const samples: StreamEvent[] = [
  create,
  { type: 'delete', ...commit, collection: 'app.bsky.feed.post', rkey: '3k' },
  { type: 'repo', ...commit, fetch: 'f', part: 0, parts: 1 },
  { type: 'account', seq: 8, time: commit.time, did: commit.did, active: false, status: 'takendown' },
  { type: 'identity', seq: 9, time: commit.time, did: commit.did, handle: 'a.test' },
];

const reasonOf = (
  fields: Record<string, string>,
  decode: (f: Record<string, string>) => unknown = decodeEvents,
) => {
  try {
    decode(fields);
  } catch (err) {
    if (err instanceof InvalidEntryError) return err.reason;
    throw err;
  }
  return 'accepted';
};

describe('codec', () => {
  it('reads what it wrote, one event and several', () => {
    for (const event of samples) expect(decodeEvents(encodeEvents([event]))).toEqual([event]);
    expect(decodeEvents(encodeEvents(samples))).toEqual(samples);
    expect(Object.keys(encodeEvents([create]))).toEqual(['event']);
    expect(Object.keys(encodeEvents(samples))).toEqual(['events']);
  });

  it('tells at a glance whose an entry is and how many events it has', () => {
    const commits = [create, create, { ...create, type: 'delete' as const }];
    expect(glanceAt(encodeEvents(commits))).toEqual({ did: commit.did, events: 3 });
    for (const event of samples) expect(glanceAt(encodeEvents([event])).did).toBe(commit.did);
    const nothing: Record<string, string>[] = [{}, { other: '{}' }, { event: '' }, { events: '[]' }];
    for (const fields of nothing) expect(glanceAt(fields)).toEqual({ did: '', events: 1 });
  });

  it('splices JSON text to the same event as an object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()), (record) => {
        const { record: _, ...head } = create;
        const text = encodeRecordEvent(head, JSON.stringify(record));
        const { rkey, cid, ...alike } = head;
        for (const part of [undefined, { fetch: 'f', part: 0 }]) {
          const pieces = [recordEventHead(alike), rkey, recordEventCid, cid, recordEventTail(part)];
          const pieced = [...pieces, JSON.stringify(record), recordEventEnd].join('');
          expect(pieced).toBe(JSON.stringify({ ...alike, rkey, cid, ...part, record }));
        }
        expect(text).toBe(JSON.stringify({ ...head, record }));
      }),
    );
  });

  it('names the reason for every entry that it refuses', () => {
    expect(reasonOf({})).toBe('no-field');
    expect(reasonOf({ event: '{' })).toBe('not-json');
    expect(reasonOf({ events: '[]' })).toBe('bad-field');
    expect(reasonOf({ events: '{}' })).toBe('bad-field');
    expect(reasonOf({ event: '[]' })).toBe('bad-field');
    expect(reasonOf({ event: JSON.stringify({ ...create, type: 'made-up' }) })).toBe('unknown-type');
    expect(reasonOf({}, decodeRepoJob)).toBe('no-field');
    expect(reasonOf({ repo: '{"did":"x"}' }, decodeRepoJob)).toBe('bad-field');
    expect(reasonOf({ event: '{"type":"label"}' }, decodeLabels)).toBe('bad-field');
  });

  it('refuses an event with any needed field missing or of a wrong type', () => {
    const needed: Record<StreamEvent['type'], string[]> = {
      create: ['seq', 'time', 'did', 'commit', 'rev', 'collection', 'rkey', 'cid', 'record'],
      update: ['cid', 'record'],
      delete: ['seq', 'time', 'did', 'commit', 'rev', 'collection', 'rkey'],
      repo: ['time', 'did', 'commit', 'rev'],
      account: ['seq', 'time', 'did', 'active'],
      identity: ['seq', 'time', 'did'],
    };
    for (const event of samples) {
      for (const field of needed[event.type]) {
        for (const wrong of [undefined, null, [], 1.5, '']) {
          const broken = { ...event, [field]: wrong };
          expect([field, wrong, reasonOf({ event: JSON.stringify(broken) })]).toEqual([
            field,
            wrong,
            'bad-field',
          ]);
        }
      }
    }
  });

  it('keeps further fields and fills what a listing may leave out', () => {
    expect(decodeRepoJob({ repo: '{"did":"did:plc:a","further":1}' })).toEqual({
      did: 'did:plc:a',
      host: '',
      rev: '',
      active: true,
      further: 1,
    });
    const job = { did: 'did:plc:a', host: 'h', rev: 'r', status: 'deactivated', active: false };
    expect(decodeRepoJob(encodeRepoJob(job))).toEqual(job);
  });

  it('never throws anything but InvalidEntryError', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        for (const decode of [decodeEvents, decodeLabels, decodeRepoJob]) {
          reasonOf({ event: text, repo: text }, decode);
          reasonOf({ events: text }, decode);
        }
      }),
    );
  });
});
