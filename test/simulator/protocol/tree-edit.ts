import type { Cid } from './cid.ts';
import { EMPTY, indexIn, layerOf, type Node, node } from './tree.ts';

/** The tree with `key` set to `value`. */
export function setKey(root: Node, key: string, value: Cid): Node {
  const layer = layerOf(key);
  if (isEmpty(root)) return node(layer, [key], [value], [null, null]);
  if (layer <= root.layer) return put(root, key, value, layer);
  const [left, right] = split(root, key);
  const from = root.layer;
  return node(layer, [key], [value], [raise(left, from, layer - 1), raise(right, from, layer - 1)]);
}

/** The tree without `key`, which it has to contain. */
export function removeKey(root: Node, key: string): Node {
  let top = take(root, key);
  // A root without keys is replaced by the one tree below it.
  while (top && top.keys.length === 0) top = top.subs[0] ?? null;
  return top ?? EMPTY;
}

function isEmpty(n: Node): boolean {
  return n.keys.length === 0 && n.subs[0] === null;
}

function put(n: Node, key: string, value: Cid, layer: number): Node {
  const i = indexIn(n, key);
  if (n.layer > layer) {
    const sub = n.subs[i] ?? null;
    const below = sub
      ? put(sub, key, value, layer)
      : raise(node(layer, [key], [value], [null, null]), layer, n.layer - 1);
    return node(n.layer, n.keys, n.values, n.subs.with(i, below));
  }
  if (n.keys[i] === key) return node(n.layer, n.keys, n.values.with(i, value), n.subs);
  const [left, right] = split(n.subs[i] ?? null, key);
  return node(
    n.layer,
    n.keys.toSpliced(i, 0, key),
    n.values.toSpliced(i, 0, value),
    n.subs.toSpliced(i, 1, left, right),
  );
}

/** What is left and what is right of a key that is not in the tree. */
function split(n: Node | null, key: string): [Node | null, Node | null] {
  if (!n) return [null, null];
  const i = indexIn(n, key);
  const [left, right] = split(n.subs[i] ?? null, key);
  return [
    orNothing(node(n.layer, n.keys.slice(0, i), n.values.slice(0, i), [...n.subs.slice(0, i), left])),
    orNothing(node(n.layer, n.keys.slice(i), n.values.slice(i), [right, ...n.subs.slice(i + 1)])),
  ];
}

/** Puts empty nodes over a tree until it stands at `to`. */
function raise(n: Node | null, from: number, to: number): Node | null {
  if (!n) return null;
  for (let layer = from + 1; layer <= to; layer++) n = node(layer, [], [], [n]);
  return n;
}

function take(n: Node, key: string): Node | null {
  const i = indexIn(n, key);
  if (n.keys[i] === key) {
    const joined = join(n.subs[i]!, n.subs[i + 1]!);
    return orNothing(
      node(n.layer, n.keys.toSpliced(i, 1), n.values.toSpliced(i, 1), n.subs.toSpliced(i, 2, joined)),
    );
  }
  const sub = n.subs[i];
  if (!sub) throw new RangeError(`no key ${key} in the tree`);
  return orNothing(node(n.layer, n.keys, n.values, n.subs.with(i, take(sub, key))));
}

/** Two neighbours of the same layer as one. */
function join(a: Node | null, b: Node | null): Node | null {
  if (!a || !b) return a ?? b;
  const middle = join(a.subs.at(-1)!, b.subs[0]!);
  return node(
    a.layer,
    [...a.keys, ...b.keys],
    [...a.values, ...b.values],
    [...a.subs.slice(0, -1), middle, ...b.subs.slice(1)],
  );
}

function orNothing(n: Node): Node | null {
  return isEmpty(n) ? null : n;
}

/**
 * The nodes that prove what stands at `key` and beside it: the paths to the
 * key and to both of its neighbours. With them an operation on the key can be
 * undone on the partial tree.
 */
export function coveringProof(root: Node, key: string, into: Set<Node> = new Set()): Set<Node> {
  let n: Node | null = root;
  while (n) {
    into.add(n);
    const i = indexIn(n, key);
    if (n.keys[i] === key) {
      edge(n.subs[i]!, -1, into);
      edge(n.subs[i + 1]!, 1, into);
      return into;
    }
    n = n.subs[i] ?? null;
  }
  return into;
}

/** The right edge (side −1: of what is left of a key) or the left edge of a tree. */
function edge(n: Node | null, side: -1 | 1, into: Set<Node>): void {
  while (n) {
    into.add(n);
    n = (side < 0 ? n.subs.at(-1) : n.subs[0]) ?? null;
  }
}
