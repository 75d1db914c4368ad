import { hash } from 'node:crypto';
import { bytes, head, link, NULL } from './cbor.ts';
import { type Cid, cidOf } from './cid.ts';

/**
 * A node of a Merkle search tree, never changed once made: a new tree shares
 * the nodes that stayed the same with the old one.
 */
export interface Node {
  readonly layer: number;
  readonly keys: readonly string[];
  readonly values: readonly Cid[];
  /** One more than keys: what stands before, between and after them. */
  readonly subs: readonly (Node | null)[];
  block?: Buffer;
  cid?: Cid;
}

/** The layer of a key: half the zero bits at the start of its hash (fan-out 4). */
export function layerOf(key: string): number {
  const digest = hash('sha256', key, 'buffer');
  let layer = 0;
  for (const byte of digest) {
    if (byte === 0) {
      layer += 4;
      continue;
    }
    return layer + (byte < 4 ? 3 : byte < 16 ? 2 : byte < 64 ? 1 : 0);
  }
  return layer;
}

export function node(
  layer: number,
  keys: readonly string[],
  values: readonly Cid[],
  subs: readonly (Node | null)[],
): Node {
  return { layer, keys, values, subs };
}

/** The tree without keys. */
export const EMPTY: Node = node(0, [], [], [null]);

/** The node's block; made once. */
export function blockOf(n: Node): Buffer {
  n.block ??= encodeNode(n);
  return n.block;
}

export function cidOfNode(n: Node): Cid {
  n.cid ??= cidOf(blockOf(n));
  return n.cid;
}

const E = Buffer.from([0xa2, 0x61, 0x65]);
const K = Buffer.from([0xa4, 0x61, 0x6b]);
const P = Buffer.from([0x61, 0x70]);
const T = Buffer.from([0x61, 0x74]);
const V = Buffer.from([0x61, 0x76]);
const L = Buffer.from([0x61, 0x6c]);

/** `{ e: [{ k, p, t, v }], l }` with each key cut by what it shares with the one before. */
function encodeNode({ keys, values, subs }: Node): Buffer {
  const parts: Buffer[] = [E, head(4, keys.length)];
  let before = '';
  keys.forEach((key, i) => {
    const shared = sharedPrefix(before, key);
    parts.push(K, bytes(Buffer.from(key.slice(shared), 'latin1')), P, head(0, shared));
    parts.push(T, pointer(subs[i + 1]!), V, link(values[i]!));
    before = key;
  });
  parts.push(L, pointer(subs[0]!));
  return Buffer.concat(parts);
}

function pointer(sub: Node | null): Buffer {
  return sub ? link(cidOfNode(sub)) : NULL;
}

function sharedPrefix(a: string, b: string): number {
  let n = 0;
  while (n < a.length && n < b.length && a.charCodeAt(n) === b.charCodeAt(n)) n++;
  return n;
}

/** The tree of sorted, distinct keys. */
export function buildTree(keys: readonly string[], values: readonly Cid[]): Node {
  const layers = keys.map(layerOf);
  let top = 0;
  for (const layer of layers) top = Math.max(top, layer);
  return range(0, keys.length, top) ?? EMPTY;

  function range(from: number, to: number, layer: number): Node | null {
    if (from === to) return null;
    const ks: string[] = [];
    const vs: Cid[] = [];
    const subs: (Node | null)[] = [];
    let start = from;
    for (let i = from; i < to; i++) {
      if (layers[i] !== layer) continue;
      subs.push(range(start, i, layer - 1));
      ks.push(keys[i]!);
      vs.push(values[i]!);
      start = i + 1;
    }
    subs.push(range(start, to, layer - 1));
    return node(layer, ks, vs, subs);
  }
}

/** First index whose key is not below `key`. */
export function indexIn(n: Node, key: string): number {
  let low = 0;
  let high = n.keys.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (n.keys[mid]! < key) low = mid + 1;
    else high = mid;
  }
  return low;
}

export function getValue(root: Node, key: string): Cid | undefined {
  for (let n: Node | null = root; n; ) {
    const i = indexIn(n, key);
    if (n.keys[i] === key) return n.values[i];
    n = n.subs[i]!;
  }
  return undefined;
}

/** Key and value of every leaf, in order. */
export function* leaves(root: Node): Generator<[string, Cid]> {
  for (let i = 0; i < root.subs.length; i++) {
    const sub = root.subs[i];
    if (sub) yield* leaves(sub);
    if (i < root.keys.length) yield [root.keys[i]!, root.values[i]!];
  }
}

/** Every node, parents first, left to right. */
export function* nodes(root: Node): Generator<Node> {
  yield root;
  for (const sub of root.subs) if (sub) yield* nodes(sub);
}
