import type { Block } from '../protocol/car.ts';
import { type Cid, cidOf } from '../protocol/cid.ts';
import { type Commit, signCommit } from '../protocol/commit.ts';
import type { CommitBody, Op } from '../protocol/frame.ts';
import { deriveKey } from '../protocol/keys.ts';
import type { Account } from '../world/account.ts';
import { FUTURE_REV, flipBit } from './cars.ts';
import type { Expectation } from './registry.ts';
import { derSignature, highSignature } from './signatures.ts';

/** What is sent of a commit: one false event, none, or true and false ones together. */
interface Spoiled {
  bodies: CommitBody[];
  expect: Expectation;
}

/** Spoils a commit's event; nothing where the commit has nothing to spoil. The repo itself stays true. */
type CommitFault = (body: CommitBody, account: Account, random: Cid) => Spoiled | undefined;

/** Commits that are wrong on the stream only, by name. */
export const COMMIT_FAULTS = {
  'commit-bad-signature': (body, account) => repair(resigned(body, account, { forge: flipBit })),
  'commit-high-s': (body, account) =>
    repair(resigned(body, account, { forge: highSignature(account.curve) })),
  'commit-der-signature': (body, account) => repair(resigned(body, account, { forge: derSignature })),
  'commit-wrong-key': (body, account) =>
    repair(resigned(body, account, { key: deriveKey(account.curve, `not ${account.did}`) })),
  'commit-wrong-did': (body, account) =>
    repair(resigned(body, account, { did: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz' })),
  'commit-wrong-data': (body, account, data) => repair(resigned(body, account, { data })),
  'commit-wrong-rev': (body) => repair({ ...body, rev: `${body.rev.slice(0, -1)}3` }),
  'commit-wrong-root': (body, _, commit) => repair({ ...body, commit }),
  'commit-omitted-op': (body) => body.ops.length > 0 && repair({ ...body, ops: body.ops.slice(1) }),
  'commit-extra-op': (body, _, cid) =>
    repair({
      ...body,
      ops: [...body.ops, { action: 'create', path: 'app.bsky.feed.like/3kextraextra2', cid }],
    }),
  'commit-wrong-op-cid': (body, _, cid) => changedOp(body, ({ cid: old }) => old !== null, { cid }),
  'commit-wrong-action': (body) => changedOp(body, ({ action }) => action === 'update', { action: 'create' }),
  'commit-wrong-prev': (body, _, prev) => changedOp(body, (op) => op.prev !== undefined, { prev }),
  /** True but for what a legacy producer leaves out. */
  'commit-missing-prev': (body) =>
    body.ops.some((op) => op.prev !== undefined) && {
      bodies: [{ ...body, ops: withoutPrev(body.ops) }],
      expect: 'any',
    },
  'commit-prev-on-create': (body, _, prev) => changedOp(body, ({ action }) => action === 'create', { prev }),
  'commit-bad-path': (body) =>
    changedOp(body, ({ action }) => action === 'create', { path: '../../etc/passwd' }),
  'commit-forged-prev-data': (body, _, prevData) => repair({ ...body, prevData }),
  'commit-missing-since': (body) => ({ bodies: [{ ...body, since: null }], expect: 'any' }),
  'commit-wrong-since': (body) => repair({ ...body, since: FUTURE_REV }),
  'commit-legacy': (body) => ({ bodies: [legacy(body)], expect: 'any' }),
  'commit-too-big': (body) => repair({ ...body, ops: [], blocks: body.blocks.slice(0, 1), tooBig: true }),
  'commit-missing-record': (body) =>
    withoutBlock(body, ({ ops }) => ops.find(({ cid }) => cid)?.cid ?? undefined),
  'commit-missing-node': (body) => withoutBlock(body, ({ blocks }) => blocks[1]?.[0]),
  'commit-missing-commit': (body) => withoutBlock(body, ({ commit }) => commit),
  'commit-bit-flip': bitFlip,
  'commit-too-many-ops': (body, _, cid) => repair({ ...body, ops: [...body.ops, ...manyOps(cid)] }),
  'commit-oversize': (body) => repair({ ...body, blocks: [...body.blocks, ...filler(2_100_000)] }),
  /** Never sent. */
  'commit-lost': () => ({ bodies: [], expect: 'repair' }),
  'commit-twice': (body) => ({ bodies: [body, body], expect: 'drop' }),
  /** Besides the true one a properly signed one of the year 2041. */
  'commit-future-rev': futureRev,
} as const satisfies Record<
  string,
  (body: CommitBody, account: Account, random: Cid) => Spoiled | undefined | false
>;

export type CommitFaultName = keyof typeof COMMIT_FAULTS;

export function spoil(name: CommitFaultName, body: CommitBody, account: Account): Spoiled | undefined {
  const random = cidOf(Buffer.from(`random ${body.rev}`));
  return (
    (COMMIT_FAULTS[name] as (...args: Parameters<CommitFault>) => Spoiled | false | undefined)(
      body,
      account,
      random,
    ) || undefined
  );
}

function repair(body: CommitBody): Spoiled {
  return { bodies: [body], expect: 'repair' };
}

interface Resigned extends Partial<Pick<Commit, 'did' | 'rev' | 'data'>> {
  key?: Account['key'];
  forge?: (signature: Buffer) => Buffer;
}

/** The same operations under a commit that is signed anew. */
function resigned(
  body: CommitBody,
  account: Account,
  { forge, key = account.key, ...fields }: Resigned,
): CommitBody {
  const { did, rev } = body;
  const { data } = account.repo.commit;
  const commit = signCommit({ did, rev, data, ...fields }, key, forge);
  return { ...body, commit: commit.cid, blocks: [[commit.cid, commit.block], ...body.blocks.slice(1)] };
}

/** One operation that fits, changed. */
function changedOp(
  body: CommitBody,
  fits: (op: Op) => boolean,
  change: { [K in keyof Op]?: Op[K] | undefined },
): Spoiled | undefined {
  const at = body.ops.findIndex(fits);
  if (at < 0) return undefined;
  const op = { ...body.ops[at]!, ...change } as Op;
  return repair({ ...body, ops: body.ops.with(at, op) });
}

/** As software from before Sync v1.1 sends it. */
function legacy({ prevData: _, ...body }: CommitBody): CommitBody {
  return { ...body, ops: withoutPrev(body.ops) };
}

function withoutPrev(ops: Op[]): Op[] {
  return ops.map(({ prev: _, ...op }) => op);
}

function withoutBlock(body: CommitBody, choose: (body: CommitBody) => Cid | undefined): Spoiled | undefined {
  const lost = choose(body);
  if (!lost) return undefined;
  const blocks = body.blocks.filter(([cid]) => !cid.equals(lost));
  return blocks.length < body.blocks.length ? repair({ ...body, blocks }) : undefined;
}

function bitFlip(body: CommitBody): Spoiled {
  const [cid, block] = body.blocks.at(-1)!;
  const flipped = Buffer.from(block);
  flipped[flipped.length - 2]! ^= 1;
  return repair({ ...body, blocks: [...body.blocks.slice(0, -1), [cid, flipped]] });
}

function manyOps(cid: Cid): Op[] {
  return Array.from({ length: 201 }, (_, i) => ({
    action: 'create',
    path: `app.bsky.feed.like/3kmany${i}`,
    cid,
  }));
}

function filler(length: number): Block[] {
  const block = Buffer.alloc(length, 0x61);
  return [[cidOf(block), block]];
}

function futureRev(body: CommitBody, account: Account): Spoiled {
  const future = resigned({ ...body, rev: FUTURE_REV, since: body.rev, ops: [] }, account, {
    rev: FUTURE_REV,
  });
  return { bodies: [body, { ...future, prevData: account.repo.commit.data }], expect: 'drop' };
}
