import { type Block, car, carHeader, carSection, varint } from '../protocol/car.ts';
import { array, head, integer, link, map, text } from '../protocol/cbor.ts';
import { cidOf } from '../protocol/cid.ts';
import { signCommit } from '../protocol/commit.ts';
import { deriveKey } from '../protocol/keys.ts';
import { blockOf, cidOfNode, nodes } from '../protocol/tree.ts';
import { setKey } from '../protocol/tree-edit.ts';
import type { Account } from '../world/account.ts';
import { dummyLeaf, Forest, leavesOf } from './forest.ts';

/** The TID of a time in the year 2041. */
export const FUTURE_REV = '3zzzzzzzzzz22';

/** Makes a CAR that no reader may take for the account's repo. */
type CarFault = (account: Account) => Buffer;

/** Hostile and broken CARs, by name. */
export const CAR_FAULTS = {
  'car-bad-signature': (account) => resigned(account, { forge: flipBit }),
  'car-wrong-key': (account) => resigned(account, { key: deriveKey(account.curve, `not ${account.did}`) }),
  'car-wrong-did': (account) => resigned(account, { did: 'did:plc:ewvi7nxzyoun6zhxrhs64oiz' }),
  'car-future-rev': (account) => resigned(account, { rev: FUTURE_REV }),
  'car-bad-rev': (account) => resigned(account, { rev: 'yesterday' }),
  'car-bit-flip': bitFlip,
  'car-missing-record': (account) => without(account, ({ length }) => length - 1),
  'car-missing-node': missingNode,
  'car-missing-commit': (account) => car(account.repo.commit.cid, [...account.repo.blocks()].slice(1)),
  'car-garbage': () => Buffer.from('this is not a CAR, whatever its type may say\n'.repeat(20)),
  'car-huge-header': () =>
    Buffer.concat([Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]), Buffer.alloc(64)]),
  'car-two-roots': twoRoots,
  'car-no-root': (account) => headed(account, []),
  'car-not-a-commit': notACommit,
  'car-odd-hash': oddHash,
  'car-huge-section': hugeSection,
  'car-empty-block': emptyBlock,
  'car-subtree-bomb': (account) => new Forest(account).sharedSubtrees(19),
  'car-deep-chain': (account) => new Forest(account).chain(5000),
  'car-very-deep-chain': (account) => new Forest(account).chain(30_000),
  'car-unordered': (account) => new Forest(account).flat(leavesOf(account).reverse()),
  'car-duplicate-key': (account) =>
    new Forest(account).flat(leavesOf(account).flatMap((leaf) => [leaf, leaf])),
  'car-wrong-layer': (account) => new Forest(account).flat(leavesOf(account)),
  'car-bad-prefix': (account) => new Forest(account).flat(leavesOf(account), { prefix: 200 }),
  'car-lazy-prefix': (account) => new Forest(account).flat(leavesOf(account), { prefix: 0 }),
  'car-negative-prefix': (account) => new Forest(account).flat(leavesOf(account), { prefix: -1 }),
  'car-bad-key': (account) => new Forest(account).flat([dummyLeaf('no-slash')]),
  'car-deep-key': (account) => new Forest(account).flat([dummyLeaf('a.b.c/d/e')]),
  'car-dots-key': (account) => new Forest(account).flat([dummyLeaf('a.b.c/..')]),
  'car-long-key': (account) => new Forest(account).flat([dummyLeaf(`a.b.c/${'x'.repeat(1100)}`)]),
  'car-deep-cbor': (account) => new Forest(account).over(Buffer.alloc(100_000, 0x81)),
  'car-node-no-map': (account) => new Forest(account).over(text('a node')),
  'car-node-long-list': (account) =>
    new Forest(account).over(Buffer.concat([Buffer.from([0xa2, 0x61, 0x65]), head(4, 0xfffffff0)])),
} as const satisfies Record<string, CarFault>;

export type CarFaultName = keyof typeof CAR_FAULTS;

interface Resigned extends Partial<Parameters<typeof signCommit>[0]> {
  key?: Parameters<typeof signCommit>[1];
  forge?: Parameters<typeof signCommit>[2];
}

/** The true tree under another commit. */
function resigned({ repo, key }: Account, { forge, key: other = key, ...fields }: Resigned): Buffer {
  const { did, rev, data } = repo.commit;
  const commit = signCommit({ did, rev, data, ...fields }, other, forge);
  const [, ...rest] = repo.blocks();
  return car(commit.cid, [[commit.cid, commit.block], ...rest]);
}

export function flipBit(signature: Buffer): Buffer {
  const forged = Buffer.from(signature);
  forged[20]! ^= 1;
  return forged;
}

/** One bit of the last block is wrong. */
function bitFlip({ repo }: Account): Buffer {
  const bytes = repo.car();
  bytes[bytes.length - 3]! ^= 4;
  return bytes;
}

function without({ repo }: Account, place: (blocks: readonly Block[]) => number): Buffer {
  const blocks = [...repo.blocks()];
  blocks.splice(place(blocks), 1);
  return car(repo.commit.cid, blocks);
}

/** A subtree is missing: what is there would pass for a smaller repo. */
function missingNode(account: Account): Buffer {
  const lost = [...nodes(account.repo.tree)].at(-1)!;
  const cid = cidOfNode(lost);
  return without(account, (blocks) => blocks.findIndex(([c]) => c.equals(cid)));
}

/** The true blocks behind a header with other roots. */
function headed({ repo }: Account, roots: Buffer[]): Buffer {
  const header = map({ roots: array(roots), version: integer(1) });
  const sections = [...repo.blocks()].map(([cid, block]) => carSection(cid, block));
  return Buffer.concat([varint(header.length), header, ...sections]);
}

function twoRoots(account: Account): Buffer {
  const root = link(account.repo.commit.cid);
  return headed(account, [root, root]);
}

/** A record of no bytes at all. */
function emptyBlock({ did, repo, rev, key }: Account): Buffer {
  const nothing = Buffer.alloc(0);
  const cid = cidOf(nothing);
  const tree = setKey(repo.tree, 'app.bsky.feed.post/3kempty222222', cid);
  const commit = signCommit({ did, rev, data: cidOfNode(tree) }, key);
  const grown = [...nodes(tree)].map((n): Block => [cidOfNode(n), blockOf(n)]);
  const records = [...repo.records.values()].map((block): Block => [cidOf(block), block]);
  return car(commit.cid, [[commit.cid, commit.block], ...grown, ...records, [cid, nothing]]);
}

function notACommit({ repo: { tree } }: Account): Buffer {
  return car(cidOfNode(tree), [[cidOfNode(tree), blockOf(tree)]]);
}

/** A block under the CID of another hash function. */
function oddHash({ repo: { commit } }: Account): Buffer {
  const odd = Buffer.from(cidOf(commit.block));
  odd[2] = 0x13;
  return Buffer.concat([carHeader(commit.cid), carSection(odd, commit.block)]);
}

/** A section that claims two gigabytes. */
function hugeSection({ repo: { commit } }: Account): Buffer {
  const length = Buffer.from([0xff, 0xff, 0xff, 0xff, 0x07]);
  return Buffer.concat([carHeader(commit.cid), length, commit.cid, Buffer.alloc(1000)]);
}
