import * as dagCbor from '@ipld/dag-cbor';
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { describe, expect, test, vi } from 'vitest';
import { mutated } from '../testing/arbitraries.ts';
import { type Block, blockOf, type Entry, putNode } from '../testing/blocks.ts';
import { random } from '../testing/random.ts';
import { eventOf, newPath, outcome, type Step, steps, values } from '../testing/steps.ts';
import type { CommitEvent } from './commit-event.ts';
import { RepoError } from './errors.ts';
import { checkCommit, checkPieces } from './inversion.ts';
import { TreeUndo } from './tree-undo.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const treeUndo = new TreeUndo();

/** Root of the tree before, by the short way. */
function undone({ car, root, ops }: CommitEvent): string | undefined {
  const digest = treeUndo.undo(car, root.data.bytes, ops[0]!);
  if (digest === undefined) return undefined;
  const bytes = Uint8Array.from(digest.bytes.subarray(digest.at, digest.at + 32));
  return CID.createV1(0x71, Digest.create(0x12, bytes)).toString();
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
    const changed = fc.tuple(fc.constantFrom(...sample), fc.nat()).chain(([step, n]) => {
      const at = n % step.nodes.length;
      const { bytes } = step.nodes[at]!;
      return fc.oneof(mutated(bytes), rearranged(bytes)).map((other) => ({ step, at, bytes: other }));
    });
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(changed, async ({ step, at, bytes }) => {
        fc.pre(bytes.length > 0);
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
    expect(compared).toBeGreaterThan(100);
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

/** A node with an entry or two changed, in the right form: another key or record, a subtree elsewhere, one less. */
function rearranged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  return fc.array(fc.tuple(fc.nat(4), fc.nat(), fc.nat()), { minLength: 1, maxLength: 2 }).map((changes) => {
    const { left, entries } = entriesOf(bytes);
    for (const [kind, i, n] of changes) {
      const entry = entries[i % Math.max(entries.length, 1)];
      const other = entries[n % Math.max(entries.length, 1)];
      if (entry === undefined || other === undefined) continue;
      const { int, pick } = random(n);
      if (kind === 0) entry.key = newPath(int, pick);
      else if (kind === 1) entry.key = entry.key.slice(0, -1) + pick([...'0123456789abcdef']);
      else if (kind === 2) entry.value = pick(values);
      else if (kind === 3) [entry.tree, other.tree] = [other.tree, entry.tree];
      else entries.splice(entries.indexOf(entry), 1);
    }
    const blocks: Block[] = [];
    putNode(blocks, left, entries);
    return blocks[0]!.bytes;
  });
}

function entriesOf(bytes: Uint8Array): { left: CID | null; entries: (Entry & { tree: CID | null })[] } {
  type Raw = { k: Uint8Array; p: number; t: CID | null; v: CID };
  const { e, l } = dagCbor.decode<{ e: Raw[]; l: CID | null }>(bytes);
  let key = '';
  const entries = e.map(({ k, p, t, v }) => {
    key = key.slice(0, p) + Buffer.from(k).toString('latin1');
    return { key, value: v, tree: t };
  });
  return { left: l, entries };
}
