import { boolean, bytes, head, integer, link, map, text } from '../protocol/cbor.ts';
import { cidOf } from '../protocol/cid.ts';

/** Frames that nobody can use, by name. A consumer counts each and goes on behind it. */
export const FRAME_FAULTS = {
  'frame-garbage': () => Buffer.from('\xff\xfe no frame at all', 'latin1'),
  'frame-empty': () => Buffer.alloc(0),
  /** A header, and then nothing. */
  'frame-no-body': () => map({ op: integer(1), t: text('#commit') }),
  'frame-cut': () => framed('#commit', whole()).subarray(0, 60),
  'frame-bad-cbor': () => framed('#commit', Buffer.of(0xbf, 0x61, 0x61, 0x01, 0xff)),
  'frame-trailing': () =>
    Buffer.concat([framed('#identity', map({ did: text('did:plc:x') })), Buffer.of(0xf6)]),
  'frame-body-no-map': () => framed('#commit', text('a body')),
  'frame-wrong-types': () =>
    framed('#commit', map({ seq: text('one'), repo: integer(7), ops: boolean(true) })),
  'frame-no-seq': () => framed('#account', map({ did: text('did:plc:x'), active: boolean(true) })),
  'frame-negative-seq': () =>
    framed('#account', map({ seq: integer(-5), did: text('did:plc:x'), active: boolean(true) })),
  'frame-huge-seq': () =>
    framed('#account', map({ seq: head(0, 2 ** 60), did: text('did:plc:x'), active: boolean(true) })),
  'frame-unknown-op': () => Buffer.concat([map({ op: integer(7), t: text('#commit') }), whole()]),
  'frame-unknown-type': () => framed('#tomorrow', map({ seq: integer(1), news: text('x') })),
  'frame-deep': () => framed('#commit', Buffer.alloc(50_000, 0x81)),
  'frame-long-list': () => framed('#commit', Buffer.concat([head(5, 1), text('ops'), head(4, 0xfffffff0)])),
  'frame-long-text': () => framed('#commit', Buffer.concat([head(5, 1), text('repo'), head(3, 0xfffffff0)])),
  'frame-proto': () =>
    framed('#commit', map({ __proto__x: integer(1), ['__proto__']: map({ seq: integer(1) }) })),
  'frame-bad-utf8': () =>
    framed('#identity', map({ did: Buffer.of(0x63, 0xff, 0xfe, 0xfd), seq: integer(1) })),
  'frame-bad-car': () => framed('#commit', whole(Buffer.from('no CAR'))),
  /** Above every limit. */
  'frame-oversize': () => framed('#commit', whole(Buffer.alloc(6_000_000))),
} as const satisfies Record<string, () => Buffer>;

export type FrameFaultName = keyof typeof FRAME_FAULTS;

function framed(t: string, body: Buffer): Buffer {
  return Buffer.concat([map({ op: integer(1), t: text(t) }), body]);
}

/** A body of the right shape, about nobody. */
function whole(blocks: Buffer = Buffer.alloc(0)): Buffer {
  return map({
    seq: integer(1),
    repo: text('did:plc:ewvi7nxzyoun6zhxrhs64oiz'),
    rev: text('3kaaaaaaaaa22'),
    since: text('3kaaaaaaaa222'),
    commit: link(cidOf(blocks)),
    ops: head(4, 0),
    blobs: head(4, 0),
    blocks: bytes(blocks),
    tooBig: boolean(false),
    rebase: boolean(false),
    time: text('2026-01-01T00:00:00.000Z'),
  });
}
