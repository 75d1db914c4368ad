import * as dagCbor from '@ipld/dag-cbor';
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import { describe, expect, test, vi } from 'vitest';
import * as any from '../testing/arbitraries.ts';
import { frame } from '../testing/frames.ts';
import { readCommit } from './commit-event.ts';
import { RepoError } from './errors.ts';
import { decodeFrame, MAX_FRAME_BYTES } from './frame.ts';
import { decodeLabelFrame } from './label-frame.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const did = 'did:plc:ragtjsm2j2vknwkz3zp4oxrd';
const time = '2026-01-02T03:04:05.678Z';
const rev = '3l4qpz7ajrc2a';
const cid = CID.parse('bafyreib2rxk3rybloqtqwqo7wmjk2n5c4oqlnyyc7rcdxmj2k3o6xqbvfe');
const common = { seq: 12, did, time };
const commit = {
  seq: 12,
  repo: did,
  time,
  rev,
  since: null,
  commit: cid,
  blocks: new Uint8Array([1, 2]),
  ops: [{ action: 'create', path: 'app.bsky.feed.post/a', cid }],
  blobs: [],
  tooBig: false,
  rebase: false,
};

describe('decodeFrame', () => {
  test('reads a #commit', () => {
    const read = decodeFrame(frame('#commit', { ...commit, prevData: cid }));
    expect(read).toMatchObject({ type: '#commit', seq: 12, did, time, rev, since: null, tooBig: false });
    if (read.type !== '#commit') throw new Error('unreachable');
    expect(read.commit.toString()).toBe(cid.toString());
    expect(read.prevData?.toString()).toBe(cid.toString());
    expect(read.blocks).toEqual(Buffer.from([1, 2]));
    expect(read.ops).toMatchObject([{ action: 'create', path: 'app.bsky.feed.post/a', prev: undefined }]);
  });

  test.each<[string, object, object]>([
    ['#sync', { ...common, rev, blocks: new Uint8Array([3]) }, { ...common, rev, blocks: Buffer.from([3]) }],
    ['#identity', { ...common, handle: 'a.test' }, { ...common, handle: 'a.test' }],
    ['#identity', common, { ...common, handle: undefined }],
    ['#account', { ...common, active: true }, { ...common, active: true, status: undefined }],
    [
      '#account',
      { ...common, active: false, status: 'deleted' },
      { ...common, active: false, status: 'deleted' },
    ],
    ['#info', { name: 'OutdatedCursor', message: 'x' }, { name: 'OutdatedCursor', message: 'x' }],
  ])('reads a %s', (type, body, expected) => {
    expect(decodeFrame(frame(type, body))).toEqual({ type, ...expected });
  });

  test('reads an error, and skips what it does not know', () => {
    const error = { error: 'FutureCursor', message: 'ahead' };
    expect(decodeFrame(frame(undefined, error, { op: -1 }))).toEqual({ type: 'error', ...error });
    expect(decodeFrame(frame('#handle', { seq: 3, did }))).toEqual({
      type: 'unknown',
      name: '#handle',
      seq: 3,
    });
  });

  test.each<[string, object]>([
    ['#commit', { ...commit, repo: 'alice' }],
    ['#commit', { ...commit, seq: 1.5 }],
    ['#commit', { ...commit, seq: -1 }],
    ['#commit', { ...commit, rev: 'x' }],
    ['#commit', { ...commit, blocks: 'x' }],
    ['#commit', { ...commit, commit: 'x' }],
    ['#commit', { ...commit, ops: {} }],
    ['#commit', { ...commit, ops: [null] }],
    ['#commit', { ...commit, ops: [{ action: 'create', path: 7, cid }] }],
    ['#commit', { ...commit, ops: [{ action: 'create', path: 'a', cid: 'x' }] }],
    ['#sync', { ...common, rev }],
    ['#identity', { ...common, time: '' }],
    ['#account', common],
    ['#info', {}],
  ])('refuses a %s of a wrong shape, and says whose it is', (type, body) => {
    const seq = 'seq' in body && Number.isInteger(body.seq) ? body.seq : undefined;
    const about = 'seq' in body ? { reason: 'bad-frame', ...(seq === undefined ? {} : { seq }) } : {};
    expect(() => decodeFrame(frame(type, body))).toThrow(
      expect.objectContaining({ name: 'RepoError', ...about }),
    );
  });

  test('refuses a header without a body, one without a type, bytes behind, and too many', () => {
    const good = frame('#identity', common);
    for (const bytes of [
      dagCbor.encode({ op: 1, t: '#info' }),
      frame(undefined, common, { op: 1 }),
      frame(undefined, common, { op: 2, t: '#identity' }),
      Buffer.concat([good, Buffer.from([0])]),
      Buffer.alloc(MAX_FRAME_BYTES + 1),
      Buffer.alloc(0),
    ]) {
      expect(() => decodeFrame(bytes)).toThrow(RepoError);
    }
  });

  test('throws nothing but RepoError, whatever comes', () => {
    const bodies = [
      commit,
      { ...common, rev, blocks: new Uint8Array([3]) },
      common,
      { ...common, active: true },
    ];
    const types = ['#commit', '#sync', '#identity', '#account'];
    const changed = fc.nat({ max: 3 }).chain((i) => any.mutated(frame(types[i], bodies[i])));
    fc.assert(
      fc.property(fc.oneof(changed, fc.uint8Array({ maxLength: 200 })), (bytes) => {
        for (const decode of [decodeFrame, decodeLabelFrame]) {
          try {
            const read = decode(bytes);
            if (read.type === '#commit') readCommit(read);
          } catch (error) {
            if (!(error instanceof RepoError)) throw error;
          }
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('decodeLabelFrame', () => {
  const label = { src: did, uri: 'at://x', val: 'spam', cts: time };

  test('reads labels with all their fields, and leaves malformed ones out', () => {
    const full = { ...label, ver: 1, cid: 'b', neg: true, exp: time };
    const sig = new Uint8Array([1, 2, 3, 4]);
    const labels = [{ ...full, sig }, label, { ...label, val: 7 }, 'x', { ...label, cts: undefined }];
    const cleaned = labels
      .map((l) => JSON.parse(JSON.stringify(l)))
      .map((l, i) => (i === 0 ? { ...l, sig } : l));
    expect(decodeLabelFrame(frame('#labels', { seq: 5, labels: cleaned }))).toEqual({
      type: '#labels',
      seq: 5,
      labels: [{ ...full, sig: { $bytes: 'AQIDBA' } }, label],
      malformed: 3,
    });
  });

  test('reads #info, errors and what it does not know', () => {
    expect(decodeLabelFrame(frame('#info', { name: 'OutdatedCursor' }))).toMatchObject({ type: '#info' });
    expect(decodeLabelFrame(frame(undefined, { error: 'FutureCursor' }, { op: -1 }))).toMatchObject({
      type: 'error',
    });
    expect(decodeLabelFrame(frame('#x', {}))).toEqual({ type: 'unknown', name: '#x', seq: undefined });
    expect(() => decodeLabelFrame(frame('#labels', { seq: 5 }))).toThrow(RepoError);
  });
});
