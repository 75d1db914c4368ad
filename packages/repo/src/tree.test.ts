import { tmpdir } from 'node:os';
import { MemoryBlockstore, MST } from '@atproto/repo';
import fc from 'fast-check';
import type { CID } from 'multiformats/cid';
import { describe, expect, test, vi } from 'vitest';
import { mutated } from '../testing/arbitraries.ts';
import {
  type Block,
  blockOf,
  type Entry,
  keysAtLayer,
  layer,
  put,
  putNode,
  repoOf,
} from '../testing/blocks.ts';
import { RepoError } from './errors.ts';
import { openRepo } from './snapshot.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const tmpDir = tmpdir();
const record = (blocks: Block[]) => put(blocks, { $type: 'app.bsky.feed.post' });

/** Reads the repo of the tree that `grow` puts together: its paths, or the reason why not. */
async function read(grow: (blocks: Block[]) => CID): Promise<string[] | string> {
  const blocks: Block[] = [];
  const car = await repoOf(blocks, grow(blocks));
  try {
    await using repo = await openRepo([car], { tmpDir });
    return [...repo.records()].map((r) => r.path);
  } catch (error) {
    if (error instanceof RepoError) return error.reason;
    throw error;
  }
}

/** A tree of one node with these keys, at whatever layer the first one has. */
function flat(keys: string[], change: (entries: Entry[]) => Entry[] = (e) => e) {
  return read((blocks) => {
    const value = record(blocks);
    return putNode(blocks, null, change(keys.map((key) => ({ key, value }))));
  });
}

/** Root of the tree that the reference library makes of these paths, all with one record. */
async function referenceRoot(paths: string[], value: CID): Promise<string> {
  let tree = await MST.create(new MemoryBlockstore());
  for (const path of paths) tree = await tree.add(path, value as never);
  return (await tree.getPointer()).toString();
}

const low = keysAtLayer(0, 60);
const high = keysAtLayer(1, 20);
const top = keysAtLayer(2, 5);

describe('a tree', () => {
  test('of one node, of three layers, of none', async () => {
    expect(await flat(low)).toEqual(low);
    const between = (a: string, b: string) => low.filter((key) => key > a && key < b);
    const [first, second] = high as [string, string];
    const grown = await read((blocks) => {
      const value = record(blocks);
      const node = (keys: string[]) =>
        putNode(
          blocks,
          null,
          keys.map((key) => ({ key, value })),
        );
      const before = low.filter((key) => key < first);
      return putNode(blocks, before.length > 0 ? node(before) : null, [
        { key: first, value, tree: node(between(first, second)) },
        { key: second, value },
      ]);
    });
    expect(grown).toEqual([...low.filter((key) => key < second), first, second].sort());
    expect(await read((blocks) => putNode(blocks, null, []))).toEqual([]);
  });

  test('may have nodes without entries between its layers', async () => {
    const last = top.at(-1)!;
    const before = low.filter((key) => key < last).slice(0, 1);
    const paths = await read((blocks) => {
      const value = record(blocks);
      const bottom = putNode(blocks, null, [{ key: before[0]!, value }]);
      return putNode(blocks, putNode(blocks, bottom, []), [{ key: last, value }]);
    });
    expect(paths).toEqual([...before, last]);
  });

  test('is refused with its keys out of order, in a node or over several', async () => {
    expect(await flat([low[1]!, low[0]!])).toBe('bad-mst');
    expect(await flat([low[0]!, low[0]!])).toBe('bad-mst');
    const across = (side: 'left' | 'right') =>
      read((blocks) => {
        const value = record(blocks);
        const middle = high[3]!;
        const wrong = low.find((key) => (side === 'left' ? key > middle : key < middle))!;
        const child = putNode(blocks, null, [{ key: wrong, value }]);
        const entry = { key: middle, value, tree: side === 'right' ? child : null };
        return putNode(blocks, side === 'left' ? child : null, [entry]);
      });
    expect(await across('left')).toBe('bad-mst');
    expect(await across('right')).toBe('bad-mst');
  });

  test('is refused with a wrong prefix', async () => {
    const keys = low.slice(0, 2);
    const second = (prefix: number) => flat(keys, ([a, b]) => [a!, { ...b!, prefix }]);
    expect(await second(0)).toBe('bad-mst');
    expect(await second(5)).toBe('bad-mst');
    expect(await second(keys[1]!.length)).toBe('bad-mst');
    expect(await flat(keys, ([a, b]) => [{ ...a!, prefix: 1 }, b!])).toBe('bad-mst');
    const beyond = await read((blocks) => {
      const value = record(blocks);
      return put(blocks, {
        e: [
          { k: Buffer.from(low[0]!), p: 0, t: null, v: value },
          { k: Buffer.from('z'), p: 999, t: null, v: value },
        ],
        l: null,
      });
    });
    expect(beyond).toBe('bad-mst');
  });

  test('is refused with a key at the wrong layer', async () => {
    expect(await flat([low[0]!, high[0]!].sort())).toBe('bad-mst');
    const child = (key: string, parent: string) =>
      read((blocks) => {
        const value = record(blocks);
        return putNode(blocks, putNode(blocks, null, [{ key, value }]), [{ key: parent, value }]);
      });
    const parent = top.at(-1)!;
    expect(await child(high[0]!, parent)).toEqual([high[0], parent]);
    expect(await child(low[0]!, parent)).toBe('bad-mst');
    expect(await child(low[0]!, low[1]!)).toBe('bad-mst');
  });

  test('is refused with an empty node below, or a root without entries above', async () => {
    const key = high[0]!;
    expect(await read((b) => putNode(b, putNode(b, null, []), [{ key, value: record(b) }]))).toBe('bad-mst');
    expect(await read((b) => putNode(b, putNode(b, null, [{ key, value: record(b) }]), []))).toBe('bad-mst');
  });

  test('is refused in no time where 19 blocks share subtrees a million times', async () => {
    const started = performance.now();
    const bomb = await read((blocks) => {
      const value = record(blocks);
      let node = putNode(blocks, null, [{ key: low[0]!, value }]);
      for (let depth = 0; depth < 19; depth++)
        node = putNode(blocks, node, [{ key: low[1]!, value, tree: node }]);
      return node;
    });
    expect(bomb).toBe('bad-mst');
    const empty = await read((blocks) => {
      const value = record(blocks);
      const key = keysAtLayer(5, 1)[0]!;
      const chain = putNode(blocks, putNode(blocks, null, []), []);
      return putNode(blocks, chain, [{ key, value, tree: chain }]);
    });
    expect(empty).toBe('bad-mst');
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test('is refused where it is 5,000 nodes deep', async () => {
    const deep = await read((blocks) => {
      let node = putNode(blocks, null, [{ key: low[0]!, value: record(blocks) }]);
      for (let i = 0; i < 5000; i++) node = putNode(blocks, node, []);
      return putNode(blocks, node, [{ key: keysAtLayer(5, 1)[0]!, value: record(blocks) }]);
    });
    expect(deep).toBe('bad-mst');
  });

  test('is refused with a block missing: a node or a record, never shortened', async () => {
    const elsewhere: Block[] = [];
    const missing = putNode(elsewhere, null, [{ key: low[0]!, value: record(elsewhere) }]);
    const value = record(elsewhere);
    expect(await read((b) => putNode(b, missing, [{ key: high[0]!, value: record(b) }]))).toBe(
      'missing-block',
    );
    expect(await read((b) => putNode(b, null, [{ key: low[0]!, value }]))).toBe('missing-block');
    expect(await read(() => missing)).toBe('missing-block');
  });

  test.each<[string, (value: CID) => unknown]>([
    ['another field', (v) => ({ e: [{ k: Buffer.from(low[0]!), p: 0, t: null, v }], l: null, x: 1 })],
    [
      'another field in an entry',
      (v) => ({ e: [{ k: Buffer.from(low[0]!), p: 0, t: null, v, x: 1 }], l: null }),
    ],
    ['no l', (v) => ({ e: [{ k: Buffer.from(low[0]!), p: 0, t: null, v }] })],
    ['a key that is text', (v) => ({ e: [{ k: low[0]!, p: 0, t: null, v }], l: null })],
    ['a negative prefix', (v) => ({ e: [{ k: Buffer.from(low[0]!), p: -1, t: null, v }], l: null })],
    ['no value', () => ({ e: [{ k: Buffer.from(low[0]!), p: 0, t: null, v: null }], l: null })],
    ['an empty key', (v) => ({ e: [{ k: Buffer.alloc(0), p: 0, t: null, v }], l: null })],
    ['a key of 1,025 bytes', (v) => ({ e: [{ k: Buffer.alloc(1025, 97), p: 0, t: null, v }], l: null })],
    ['e that is a map', () => ({ e: {}, l: null })],
    ['a record in its place', () => ({ $type: 'app.bsky.feed.post' })],
    ['a list in its place', () => []],
  ])('is refused with a node with %s', async (_, node) => {
    expect(await read((blocks) => put(blocks, node(record(blocks))))).toBe('bad-mst');
  });

  test.each([
    'app.bsky.feed.post',
    'app.bsky.feed.post/',
    '/key',
    'app.bsky.feed.post/a/b',
    'app.bsky.feed.post//a',
    'app.bsky.feed.post/.',
    'app.bsky.feed.post/..',
    'app.bsky.feed.post/a b',
    'app.bsky.feed.post/\u00e9',
    'app.bsky.feed.post/a\0',
    `app.bsky.feed.post/${'k'.repeat(513)}`,
    'app.bsky/a',
    'app..bsky.feed/a',
    'app.bsky.feed.9post/a',
    'app.bsky.feed.po_st/a',
    '1app.bsky.feed.post/a',
    `${'a'.repeat(64)}.bsky.feed/a`,
  ])('is refused with a key %j', async (key) => {
    expect(await flat([key])).toBe('bad-path');
  });

  test.each([
    `app.bsky.feed.post/${'k'.repeat(512)}`,
    'app.bsky.feed.post/a.b-c_d~e:f',
    'app.bsky.feed.post/...',
    'a-b.c1.2d.name9/-',
  ])('may have a key %j', async (key) => {
    expect(layer(key)).toBeGreaterThanOrEqual(0);
    expect(await flat([key])).toEqual([key]);
  });

  test('whose node was changed is refused, or is the tree that the reference builds of the same records', async () => {
    const blocks: Block[] = [];
    const value = record(blocks);
    const child = putNode(
      blocks,
      null,
      low.slice(0, 4).map((key) => ({ key, value })),
    );
    const parent = high.find((key) => key > low[3]!)!;
    const root = putNode(blocks, child, [{ key: parent, value }]);
    const bytesOf = (cid: CID) => blocks.find((block) => block.cid.equals(cid))!.bytes;
    const changed = fc.oneof(
      mutated(bytesOf(root)).map((bytes) => ({ root: bytes, child: bytesOf(child) })),
      mutated(bytesOf(child)).map((bytes) => ({ root: bytesOf(root), child: bytes })),
    );
    await fc.assert(
      fc.asyncProperty(changed, async (nodes) => {
        const [below, above] = [blockOf(nodes.child), Buffer.from(nodes.root)];
        // The parent's link follows the child, so that the hashes never tell.
        const at = above.indexOf(Buffer.from(child.multihash.digest));
        if (at >= 0) Buffer.from(below.cid.multihash.digest).copy(above, at);
        const tree = blockOf(above);
        const paths = await read((b) => {
          b.push(...blocks, below, tree);
          return tree.cid;
        });
        if (typeof paths === 'string') return;
        expect(await referenceRoot(paths, value)).toBe(tree.cid.toString());
      }),
      { numRuns: 600 },
    );
  });

  test('may hold the same record at several paths, and a record that is no good', async () => {
    const blocks: Block[] = [];
    const value = record(blocks);
    const bad = put(blocks, 'a text is no record');
    const tree = putNode(blocks, null, [
      { key: low[0]!, value },
      { key: low[1]!, value: bad },
      { key: low[2]!, value },
    ]);
    await using repo = await openRepo([await repoOf(blocks, tree)], { tmpDir });
    const [first, second, third] = [...repo.records()];
    expect(first!.json()).toBe(third!.json());
    expect(first!.cid).toBe(value.toString());
    expect(() => second!.json()).toThrow(
      expect.objectContaining({ name: 'RepoError', reason: 'bad-record' }),
    );
  });
});
