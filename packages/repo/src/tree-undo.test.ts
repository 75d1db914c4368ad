import { MemoryBlockstore, MST } from '@atproto/repo';
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { describe, expect, test, vi } from 'vitest';
import { mutated } from '../testing/arbitraries.ts';
import {
  type Block,
  blockOf,
  carOf,
  DID,
  type Entry,
  keysAtLayer,
  layer,
  put,
  putCommit,
  putNode,
  REV,
} from '../testing/blocks.ts';
import { frame, link, type OpBody } from '../testing/frames.ts';
import { random } from '../testing/random.ts';
import { type CommitEvent, readCommit } from './commit-event.ts';
import { RepoError } from './errors.ts';
import { type CommitFrame, decodeFrame } from './frame.ts';
import { checkCommit, checkPieces } from './inversion.ts';
import { TreeUndo } from './tree-undo.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const treeUndo = new TreeUndo();
const records: Block[] = [];
const values = Array.from({ length: 5 }, (_, n) => put(records, { $type: 'app.bsky.feed.post', n }));
const [value, otherValue] = values as [CID, CID];

/** One operation that made a tree of another. */
interface Step {
  nodes: Block[];
  data: CID;
  prevData: CID;
  op: OpBody;
}

async function eventOf({ nodes, data, prevData, op }: Step): Promise<CommitEvent> {
  const blocks = [...nodes, ...records];
  const commit = await putCommit(blocks, data);
  const body = { seq: 7, repo: DID, time: '2026-01-02T03:04:05.678Z', rev: REV, since: null };
  const bytes = frame('#commit', { ...body, commit, blocks: carOf(commit, blocks), ops: [op], prevData });
  return readCommit(decodeFrame(bytes) as CommitFrame);
}

/** Root of the tree before, by the short way. */
function undone({ car, root, ops }: CommitEvent): string | undefined {
  const digest = treeUndo.undo(car, root.data.bytes, ops[0]!);
  if (digest === undefined) return undefined;
  const bytes = Uint8Array.from(digest.bytes.subarray(digest.at, digest.at + 32));
  return CID.createV1(0x71, Digest.create(0x12, bytes)).toString();
}

function outcome(check: () => string): string {
  try {
    return check();
  } catch (error) {
    if (error instanceof RepoError) return error.reason;
    throw error;
  }
}

async function rootOf(tree: MST): Promise<CID> {
  return link(await tree.getPointer())!;
}

/** Random operations on a tree of the reference's that grows to `most` keys and shrinks again. */
async function* steps(seed: number, most: number, count: number): AsyncGenerator<Step> {
  const { int, pick } = random(seed);
  const present = new Map<string, CID>();
  let tree = await MST.create(new MemoryBlockstore());
  for (let n = 0; n < count; n++) {
    const old = present.size > 0 && int(10) > (n < count / 2 ? 6 : 1);
    const path = old || present.size >= most ? pick([...present.keys()]) : newPath(int, pick);
    const prev = present.get(path);
    const isDelete = prev !== undefined && int(3) > 0;
    const cid = isDelete ? null : pick(values.filter((v) => v !== prev));
    const prevData = await rootOf(tree);
    if (prev === undefined) tree = await tree.add(path, cid as never);
    else tree = isDelete ? await tree.delete(path) : await tree.update(path, cid as never);
    if (cid === null) present.delete(path);
    else present.set(path, cid);
    // One that was emptied keeps the layer that it had, and grows wrong from there.
    if (present.size === 0) tree = await MST.create(new MemoryBlockstore());
    const { blocks } = await tree.getUnstoredBlocks();
    const nodes = blocks.entries().map((entry) => ({ cid: link(entry.cid)!, bytes: entry.bytes }));
    const action = prev === undefined ? 'create' : isDelete ? 'delete' : 'update';
    yield {
      nodes,
      data: await rootOf(tree),
      prevData,
      op: { action, path, cid, ...(prev && { prev }) },
    };
  }
}

const high = [1, 2, 3].flatMap((wanted) => keysAtLayer(wanted, 12, 'app.bsky.feed.like'));

function newPath(int: (n: number) => number, pick: <T>(list: readonly T[]) => T): string {
  // Some are prefixes of others; and some are high, so that nodes are cut and joined.
  if (int(5) === 0) return pick(high);
  return `app.bsky.${pick(['feed.like', 'graph.block'])}/${'a'.repeat(int(3))}${int(500)}`;
}

describe('one operation undone', () => {
  test.each([
    [1, 2, 100],
    [2, 8, 300],
    [3, 40, 300],
    [4, 400, 500],
  ])('gives the tree that the reference had before (seed %i, %i keys)', async (seed, most, count) => {
    let left = 0;
    for await (const step of steps(seed, most, count)) {
      const event = await eventOf(step);
      const before = undone(event);
      if (before === undefined) left++;
      else expect(before, `seed ${seed}`).toBe(step.prevData.toString());
      expect(checkPieces(event)).toBe('verified');
      expect(checkCommit(event)).toBe('verified');
    }
    // Those by which a root comes or goes, which are many where the tree is small.
    expect(left).toBeLessThan(most < 40 ? count : count / 5);
  });

  test('says nothing of what its blocks do not show, or the right thing', async () => {
    const { int } = random(5);
    for await (const step of steps(5, 60, 200)) {
      const nodes = step.nodes.filter(() => int(8) > 0);
      const event = await eventOf({ ...step, nodes });
      expect([undefined, step.prevData.toString()]).toContain(undone(event));
      expect(outcome(() => checkCommit(event))).toBe(outcome(() => checkPieces(event)));
    }
  });

  test('is right of a changed tree only where the walk of all pieces says so, but for layers of other keys', async () => {
    const sample: Step[] = [];
    for await (const step of steps(6, 60, 160)) {
      const needed = await onlyNeeded(step);
      if (needed.nodes.length > 2) sample.push(needed);
    }
    const changed = fc
      .tuple(fc.constantFrom(...sample), fc.nat())
      .chain(([step, n]) =>
        mutated(step.nodes[n % step.nodes.length]!.bytes).map((bytes) => ({ step, n, bytes })),
      );
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(changed, async ({ step, n, bytes }) => {
        fc.pre(bytes.length > 0);
        const at = n % step.nodes.length;
        const { nodes, data } = replaced(step, at, bytes);
        const before = undone(await eventOf({ ...step, nodes, data }));
        if (before === undefined) return;
        compared++;
        const seen = await onlyNeeded({ ...step, nodes, data, prevData: CID.parse(before) });
        const event = await eventOf(seen);
        try {
          expect(checkPieces(event)).toBe('verified');
        } catch (error) {
          if (!(error instanceof RepoError)) throw error;
          expect(error.message).toMatch(/layer/);
        }
      }),
      { numRuns: 3000 },
    );

    expect(compared).toBeGreaterThan(20);
  });
});

/** Without the nodes that the short way does not look at; without any where it says nothing. */
async function onlyNeeded(step: Step): Promise<Step> {
  if (undone(await eventOf(step)) === undefined) return { ...step, nodes: [] };
  const nodes: Block[] = [];
  for (const node of step.nodes) {
    const others = step.nodes.filter((other) => other !== node);
    if (undone(await eventOf({ ...step, nodes: others })) === undefined) nodes.push(node);
  }
  return { ...step, nodes };
}

/** The tree with other bytes in one node, and with the links to it mended up to the root. */
function replaced({ nodes, data }: Step, at: number, bytes: Uint8Array): { nodes: Block[]; data: CID } {
  const changed = nodes.map(({ cid, bytes: old }, i) => ({
    old: cid,
    bytes: Buffer.from(i === at ? bytes : old),
  }));
  for (let i = at, n = 0; n < 20; n++) {
    const digest = Buffer.from(changed[i]!.old.multihash.digest);
    const mended = Buffer.from(blockOf(changed[i]!.bytes).cid.multihash.digest);
    i = changed.findIndex((node) => node.bytes.includes(digest));
    if (i < 0) break;
    mended.copy(changed[i]!.bytes, changed[i]!.bytes.indexOf(digest));
  }
  const root = changed.find(({ old }) => old.equals(data))!;
  return { nodes: changed.map((node) => blockOf(node.bytes)), data: blockOf(root.bytes).cid };
}

describe('a commit of one operation', () => {
  const low = keysAtLayer(0, 60);
  const middle = keysAtLayer(1, 20);
  const top = keysAtLayer(2, 5);

  /** What is made of a tree by one operation, both put together by hand. */
  async function checked(op: OpBody, grow: (blocks: Block[]) => [data: CID, prevData: CID]): Promise<string> {
    const nodes: Block[] = [];
    const [data, prevData] = grow(nodes);
    const event = await eventOf({ nodes, data, prevData, op });
    const short = outcome(() => checkCommit(event));
    expect(short).toBe(outcome(() => checkPieces(event)));
    return short;
  }

  const entries = (...keys: string[]): Entry[] => keys.sort().map((key) => ({ key, value }));
  const create = (path: string): OpBody => ({ action: 'create', path, cid: value });

  test('is refused with its key at a wrong layer, in a node of others', async () => {
    const [key] = middle as [string];
    const by = (other: string) =>
      checked(create(key), (b) => [putNode(b, null, entries(other, key)), putNode(b, null, entries(other))]);
    expect(layer(key)).toBe(1);
    expect(await by(middle[1]!)).toBe('verified');
    expect(await by(low[0]!)).toBe('bad-mst');
    expect(await by(top[0]!)).toBe('bad-mst');
  });

  test('is refused with its node at a wrong layer', async () => {
    const parent = top.at(-1)!;
    const below = (key: string) =>
      checked(create(key), (b) => [
        putNode(b, putNode(b, null, entries(key)), entries(parent)),
        putNode(b, null, entries(parent)),
      ]);
    expect(await below(middle[0]!)).toBe('verified');
    expect(await below(low[0]!)).toBe('bad-mst');
  });

  test('is refused with a key beside its own that is not between those of the parent', async () => {
    const [, parent] = middle as [string, string];
    const [below, above] = [low.filter((key) => key < parent), low.filter((key) => key > parent)];
    const left = (...keys: string[]) =>
      checked(create(below[0]!), (b) => [
        putNode(b, putNode(b, null, entries(...keys, below[0]!)), entries(parent)),
        putNode(b, putNode(b, null, entries(...keys)), entries(parent)),
      ]);
    expect(await left(below[1]!)).toBe('verified');
    expect(await left(above[0]!)).toBe('bad-mst');
    const right = (...keys: string[]) =>
      checked(create(above[0]!), (b) => [
        putNode(b, null, [{ key: parent, value, tree: putNode(b, null, entries(...keys, above[0]!)) }]),
        putNode(b, null, [{ key: parent, value, tree: putNode(b, null, entries(...keys)) }]),
      ]);
    expect(await right(above[1]!)).toBe('verified');
    expect(await right(below[0]!)).toBe('bad-mst');
  });

  test('is refused with another record, action or tree before than it says', async () => {
    const [key, other] = low as [string, string];
    const grown = (b: Block[]): [CID, CID] => [
      putNode(b, null, entries(key, other)),
      putNode(b, null, entries(other)),
    ];
    expect(await checked(create(key), grown)).toBe('verified');
    expect(await checked({ ...create(key), cid: otherValue }, grown)).toBe('bad-commit-event');
    expect(await checked(create(low[2]!), grown)).toBe('bad-commit-event');
    expect(await checked(create(key), (b) => [grown(b)[0], grown(b)[0]])).toBe('bad-inversion');
    const update: OpBody = { action: 'update', path: key, cid: value, prev: otherValue };
    expect(await checked(update, grown)).toBe('bad-inversion');
    const shrunk = (b: Block[]): [CID, CID] => [grown(b)[1], grown(b)[0]];
    const deleted: OpBody = { action: 'delete', path: key, cid: null, prev: value };
    expect(await checked(deleted, shrunk)).toBe('verified');
    expect(await checked({ ...deleted, prev: otherValue }, shrunk)).toBe('bad-inversion');
    expect(await checked({ ...deleted, path: other }, shrunk)).toBe('bad-commit-event');
  });
});

test('a key that the operation has not touched is taken to be where it was', async () => {
  const [key, other] = keysAtLayer(0, 2) as [string, string];
  const wrong = keysAtLayer(1, 1)[0]!;
  const nodes: Block[] = [];
  const entries = (...keys: string[]): Entry[] => keys.sort().map((k) => ({ key: k, value }));
  const data = putNode(nodes, null, entries(key, other, wrong));
  const prevData = putNode(nodes, null, entries(other, wrong));
  const event = await eventOf({ nodes, data, prevData, op: { action: 'create', path: key, cid: value } });
  const isFirst = [key, other, wrong].sort()[0] === wrong;
  expect(outcome(() => checkCommit(event))).toBe(isFirst ? 'bad-mst' : 'verified');
  expect(outcome(() => checkPieces(event))).toBe('bad-mst');
});
