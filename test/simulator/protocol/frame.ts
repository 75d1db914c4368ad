import { type Block, car } from './car.ts';
import { array, boolean, bytes, integer, link, map, mapAround, NULL, text } from './cbor.ts';
import type { Cid } from './cid.ts';

/** A frame of a subscription with its seq left out, so that several hosts can give it their own. */
export interface Frame {
  before: Buffer;
  after: Buffer;
}

export interface Op {
  action: string;
  path: string;
  cid: Cid | null;
  /** The record that was there before; absent from creates and from legacy producers. */
  prev?: Cid;
}

/** What a `#commit` says. */
export interface CommitBody {
  did: string;
  rev: string;
  since: string | null;
  /** Absent from legacy producers and from a repo's first commit. */
  prevData?: Cid;
  commit: Cid;
  ops: Op[];
  blocks: Block[];
  time: string;
  tooBig?: boolean;
}

export function commitFrame(body: CommitBody): Frame {
  return frame('#commit', {
    repo: text(body.did),
    rev: text(body.rev),
    since: body.since === null ? NULL : text(body.since),
    prevData: body.prevData && link(body.prevData),
    commit: link(body.commit),
    ops: array(body.ops.map(encodeOp)),
    blocks: bytes(car(body.commit, body.blocks)),
    blobs: array([]),
    rebase: boolean(false),
    tooBig: boolean(body.tooBig ?? false),
    time: text(body.time),
  });
}

function encodeOp({ action, path, cid, prev }: Op): Buffer {
  const entries = { action: text(action), path: text(path), cid: cid ? link(cid) : NULL };
  return map({ ...entries, prev: prev && link(prev) });
}

/** States the current commit of a repo. */
export function syncFrame(body: { did: string; rev: string; time: string; commit: Block }): Frame {
  const { did, rev, time, commit } = body;
  const blocks = bytes(car(commit[0], [commit]));
  return frame('#sync', { did: text(did), rev: text(rev), time: text(time), blocks });
}

export function identityFrame(body: { did: string; time: string; handle?: string }): Frame {
  const { did, time, handle } = body;
  return frame('#identity', {
    did: text(did),
    time: text(time),
    handle: handle === undefined ? undefined : text(handle),
  });
}

export function accountFrame(body: { did: string; time: string; active: boolean; status?: string }): Frame {
  const { did, time, active, status } = body;
  return frame('#account', {
    did: text(did),
    time: text(time),
    active: boolean(active),
    status: status === undefined ? undefined : text(status),
  });
}

/** A frame of type `t` whose body has a seq besides `entries`, which are encoded already. */
export function frame(t: string, entries: Record<string, Buffer | undefined>): Frame {
  const [before, after] = mapAround({ ...entries, seq: NULL }, 'seq');
  return { before: Buffer.concat([map({ op: integer(1), t: text(t) }), before]), after };
}

export function withSeq({ before, after }: Frame, seq: number): Buffer {
  return Buffer.concat([before, integer(seq), after]);
}

/** `#info`: it has no seq. */
export function infoFrame(name: string, message?: string): Buffer {
  const header = map({ op: integer(1), t: text('#info') });
  return Buffer.concat([header, map({ name: text(name), message: message ? text(message) : undefined })]);
}

/** Says why the connection ends. */
export function errorFrame(error: string, message: string): Buffer {
  return Buffer.concat([map({ op: integer(-1) }), map({ error: text(error), message: text(message) })]);
}
