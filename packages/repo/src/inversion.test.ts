import type { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import { type Block, type Entry, keysAtLayer, layer, putNode } from '../testing/blocks.ts';
import type { OpBody } from '../testing/frames.ts';
import { eventOf, outcome, values } from '../testing/steps.ts';
import { checkCommit, checkPieces } from './inversion.ts';

const [value, otherValue] = values as [CID, CID];

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

  test('is refused with a subtree beside its key that holds keys of the other side', async () => {
    const [first, key, last] = top.slice(-3) as [string, string, string];
    const [below, above] = [low.filter((k) => k > first && k < key), low.filter((k) => k > key && k < last)];
    const beside = (side: 'below' | 'above', lowKeys: string[], depth = 2) =>
      checked(create(key), (b) => {
        let tree = putNode(b, null, entries(...lowKeys));
        for (let d = 1; d < depth; d++) tree = putNode(b, tree, []);
        const place = side === 'below' ? first : key;
        const grown = entries(first, key, last).map((e) => (e.key === place ? { ...e, tree } : e));
        const before = entries(first, last).map((e) => (e.key === first ? { ...e, tree } : e));
        return [putNode(b, null, grown), putNode(b, null, before)];
      });
    expect(await beside('below', below)).toBe('verified');
    expect(await beside('above', above)).toBe('verified');
    expect(await beside('below', [...below, above[0]!])).toBe('bad-mst');
    expect(await beside('above', [below[0]!, ...above])).toBe('bad-mst');
    expect(await beside('below', below, 3)).toBe('bad-mst');
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
