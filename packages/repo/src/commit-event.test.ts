import { Secp256k1Keypair } from '@atproto/crypto';
import { MemoryBlockstore, type RecordWriteOp, Repo, WriteOpAction } from '@atproto/repo';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { sha256 } from '../testing/arbitraries.ts';
import { blockOf, section, sectionsOf } from '../testing/blocks.ts';
import { type CommitBody, commitBody, frame, link, type OpBody } from '../testing/frames.ts';
import { random } from '../testing/random.ts';
import { type CommitEvent, readCommit, readSync } from './commit-event.ts';
import { RepoError } from './errors.ts';
import { type CommitFrame, decodeFrame, type SyncFrame } from './frame.ts';
import { checkCommit } from './inversion.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const DID = 'did:plc:ragtjsm2j2vknwkz3zp4oxrd';
const keypair = await Secp256k1Keypair.create();

function event(body: object): CommitEvent {
  return readCommit(decodeFrame(frame('#commit', body)) as CommitFrame);
}

/** `verified`, `legacy`, or the reason why not. */
function outcome(body: object): string {
  try {
    return checkCommit(event(body));
  } catch (error) {
    if (error instanceof RepoError) {
      expect(error).toMatchObject({ seq: 7 });
      return error.reason;
    }
    throw error;
  }
}

/** A history of random commits, each as the body of its event. */
async function history(seed: number, commits: number): Promise<CommitBody[]> {
  const { int, pick } = random(seed);
  const storage = new MemoryBlockstore();
  const bodies: CommitBody[] = [];
  const present = new Map<string, CID>();
  let repo: Repo | undefined;
  for (let n = 0; n < commits; n++) {
    const writes: RecordWriteOp[] = [];
    const touched = new Set<string>();
    for (let i = int(n === 0 ? 40 : 8); i >= 0; i--) {
      const path =
        present.size > 0 && int(3) > 0
          ? pick([...present.keys()])
          : `app.bsky.feed.${pick(['like', 'post'])}/${int(10_000)}`;
      if (touched.has(path)) continue;
      touched.add(path);
      const action = present.has(path)
        ? pick([WriteOpAction.Update, WriteOpAction.Delete])
        : WriteOpAction.Create;
      const [collection, rkey] = path.split('/');
      writes.push({ action, collection, rkey, record: { n, i, text: 'x'.repeat(int(50)) } } as RecordWriteOp);
    }
    const before = repo;
    if (repo === undefined) {
      repo = await Repo.create(storage, DID, keypair);
      continue;
    }
    const commit = await repo.formatCommit(writes, keypair);
    repo = await repo.applyCommit(commit);
    const ops: OpBody[] = [];
    for (const { action, collection, rkey } of writes) {
      const path = `${collection}/${rkey}`;
      const cid = link(await repo.data.get(path));
      const prev = present.get(path);
      ops.push({ action, path, cid, ...(prev ? { prev } : {}) });
      if (cid === null) present.delete(path);
      else present.set(path, cid);
    }
    bodies.push(await commitBody(before, commit, DID, ops));
  }
  return bodies;
}

describe('commit events', () => {
  let bodies: CommitBody[];
  let body: CommitBody;
  const other = CID.createV1(0x71, Digest.create(0x12, sha256(Buffer.from('other'))));

  beforeAll(async () => {
    bodies = await history(1, 30);
    // One with all three kinds of operations.
    body = bodies.find(({ ops }) => new Set(ops.map((op) => op.action)).size === 3)!;
  });

  /** The body with its first operation of a kind changed. */
  function changed(action: string, change: (op: OpBody) => Partial<OpBody>): object {
    const at = body.ops.findIndex((op) => op.action === action);
    return { ...body, ops: body.ops.map((op, i) => (i === at ? { ...op, ...change(op) } : op)) };
  }

  test.each([1, 2, 3, 4])('of any history can be undone (seed %i)', async (seed) => {
    for (const b of await history(seed, 30)) {
      expect(outcome(b)).toBe('verified');
      expect(event(b).verify(keypair.did())).toBe(true);
    }
  });

  test('say what the reference says', async () => {
    const read = event(body);
    expect(read).toMatchObject({
      did: DID,
      rev: body.rev,
      since: body.since,
      commit: body.commit.toString(),
      prevData: body.prevData!.toString(),
    });
    expect(read.ops.map(({ action, path, cid, prev }) => ({ action, path, cid, prev }))).toEqual(
      body.ops.map(({ action, path, cid, prev }) => ({
        action,
        path,
        cid: cid?.toString() ?? null,
        prev: prev?.toString() ?? null,
      })),
    );
    for (const op of read.ops.filter((o) => o.cid !== null)) {
      expect(JSON.parse(op.json())).toMatchObject({ n: expect.any(Number) });
    }
  });

  test('with an operation left out do not give prevData', () => {
    for (const b of bodies) {
      for (let i = 0; i < b.ops.length; i++) {
        expect(outcome({ ...b, ops: b.ops.toSpliced(i, 1) })).toMatch(/^(bad-inversion|missing-block)$/);
      }
    }
  });

  test('with a forged prevData, prev or cid, or with an action that is another, are refused', () => {
    expect(outcome({ ...body, prevData: other })).toBe('bad-inversion');
    expect(outcome(changed('update', () => ({ prev: other })))).toBe('bad-inversion');
    expect(outcome(changed('delete', () => ({ prev: other })))).toBe('bad-inversion');
    expect(outcome(changed('create', () => ({ cid: other })))).toBe('missing-block');
    expect(outcome(changed('create', ({ path }) => ({ path: `${path}x` })))).toMatch(
      /bad-commit-event|missing-block/,
    );
    const updates = body.ops.map(({ prev, ...op }) =>
      op.action === 'update' ? { ...op, action: 'create' } : { ...op, ...(prev ? { prev } : {}) },
    );
    expect(outcome({ ...body, ops: updates })).toMatch(/bad-inversion|missing-block/);
    expect(outcome(changed('create', () => ({ action: 'update', prev: other })))).toBe('bad-inversion');
    expect(outcome(changed('update', () => ({ action: 'delete', cid: null })))).toBe('bad-commit-event');
    expect(outcome(changed('create', () => ({ prev: other })))).toBe('bad-commit-event');
    expect(outcome(changed('create', () => ({ cid: null })))).toBe('bad-commit-event');
    expect(outcome(changed('delete', () => ({ cid: other })))).toBe('bad-commit-event');
    expect(outcome(changed('create', () => ({ action: 'upsert' })))).toBe('bad-commit-event');
    expect(outcome(changed('create', () => ({ path: 'nonsense' })))).toBe('bad-path');
  });

  test('that claim a record of another path are refused', () => {
    const creates = bodies.flatMap((b) =>
      b.ops.filter((op) => op.action === 'create').map((op) => ({ b, op })),
    );
    const twice = creates.find(({ b, op }) => b.ops.some((o) => o.action === 'create' && o !== op))!;
    const others = twice.b.ops.filter((o) => o.action === 'create' && o !== twice.op);
    const ops = twice.b.ops.map((op) => (op === twice.op ? { ...op, cid: others[0]!.cid } : op));
    expect(outcome({ ...twice.b, ops })).toBe('bad-commit-event');
  });

  test('of legacy producers are checked as far as they go', () => {
    const { prevData: _, ...withoutPrevData } = body;
    expect(outcome(withoutPrevData)).toBe('legacy');
    const withoutPrev = body.ops.map(({ prev: _, ...op }) => op);
    expect(outcome({ ...body, ops: withoutPrev })).toBe('legacy');
    const wrong = withoutPrev.map((op) =>
      op.action === 'update' ? { ...op, action: 'delete', cid: null } : op,
    );
    expect(outcome({ ...body, ops: wrong })).toBe('bad-commit-event');
  });

  test('of another DID, rev or root than their blocks are refused', () => {
    expect(outcome({ ...body, repo: 'did:plc:other' })).toBe('wrong-did');
    expect(outcome({ ...body, rev: '3zzzzzzzzzzzz' })).toBe('bad-commit-event');
    expect(outcome({ ...body, commit: other })).toBe('bad-commit-event');
    expect(outcome({ ...body, since: '3zzzzzzzzzzzz' })).toBe('bad-commit-event');
    expect(event(body).verify('did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme')).toBe(false);
  });

  test('that are too large are refused, with their account named', () => {
    const { ops } = body;
    const many = Array.from({ length: 201 }, (_, i) => ({ ...ops[0]!, path: `app.bsky.feed.post/${i}` }));
    expect(outcome({ ...body, ops: many })).toBe('too-large');
    expect(outcome({ ...body, tooBig: true })).toBe('too-large');
    const filler = blockOf(Buffer.alloc(1_999_999), 0x55);
    const blocks = Buffer.concat([body.blocks, section(filler.cid.bytes, filler.bytes)]);
    expect(outcome({ ...body, blocks })).toBe('too-large');
    expect(() => event({ ...body, tooBig: true })).toThrow(expect.objectContaining({ did: DID, seq: 7 }));
  });

  test('with two operations on one path are refused', () => {
    expect(outcome({ ...body, ops: [...body.ops, body.ops[0]] })).toBe('bad-commit-event');
  });

  test('with any bit of their blocks flipped are refused', () => {
    for (let bit = 3; bit < body.blocks.length * 8; bit += 61) {
      const blocks = Buffer.from(body.blocks);
      blocks[bit >> 3]! ^= 1 << (bit & 7);
      expect(outcome({ ...body, blocks })).not.toMatch(/verified|legacy/);
    }
  });
});

describe('a #sync', () => {
  test('states a commit', async () => {
    const [first] = await history(9, 2);
    const { repo: did, rev, seq, time } = first!;
    const sections = sectionsOf(first!.blocks);
    const commit = sections.filter((s) => s.includes(Buffer.from(first!.commit.bytes)));
    const body = { did, rev, seq, time, blocks: Buffer.concat([sections[0]!, ...commit.slice(1)]) };
    const read = (b: object) => readSync(decodeFrame(frame('#sync', b)) as SyncFrame);
    const state = read(body);
    expect(state).toMatchObject({ did: DID, rev, commit: first!.commit.toString() });
    expect(state.verify(keypair.did())).toBe(true);
    expect(() => read({ ...body, rev: '3zzzzzzzzzzzz' })).toThrow(RepoError);
    const filler = blockOf(Buffer.alloc(9_999), 0x55);
    const large = Buffer.concat([body.blocks, section(filler.cid.bytes, filler.bytes)]);
    expect(() => read({ ...body, blocks: large })).toThrow(
      expect.objectContaining({ reason: 'too-large', seq: 7 }),
    );
  });
});
