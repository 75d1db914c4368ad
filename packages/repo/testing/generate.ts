/** Repos of any size from a seed, fast and in little memory: for benches and tests of size. */
import { hash } from 'node:crypto';
import { Secp256k1Keypair } from '@atproto/crypto';
import * as dagCbor from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { NodeEncoder } from '../src/node-encoder.ts';
import { tidAt } from '../src/tid.ts';
import { layerOf } from '../src/tree-node.ts';
import { header, varint } from './blocks.ts';
import { random } from './random.ts';

export interface GenerateOptions {
  records: number;
  seed?: number;
  did?: string;
  /** Bytes of text that each record has on top. */
  padding?: number;
  /** Order of the record blocks: as the tree has them, or as a store sorted by CID gives them. */
  order?: 'tree' | 'shuffled';
}

export interface GeneratedRepo {
  did: string;
  key: string;
  root: CID;
  /** The CAR in chunks of some 64 KiB; may be read more than once. */
  chunks(): Generator<Buffer>;
}

const HEAD = Buffer.from('01711220', 'hex');
const WORDS =
  'the of and water river größe 水 🌊 "so" head flow over under a stone that is not to be found\n'.split(' ');

/** Of ten records: 5 likes, 2 follows, 2 posts, 1 repost. */
const MIX = ['like', 'like', 'like', 'like', 'like', 'follow', 'follow', 'post', 'post', 'repost'] as const;
const NSIDS = {
  like: 'app.bsky.feed.like',
  post: 'app.bsky.feed.post',
  repost: 'app.bsky.feed.repost',
  follow: 'app.bsky.graph.follow',
};

export async function generateRepo(options: GenerateOptions): Promise<GeneratedRepo> {
  const {
    records,
    seed = 1,
    did = 'did:plc:ragtjsm2j2vknwkz3zp4oxrd',
    padding = 0,
    order = 'tree',
  } = options;
  const keypair = await Secp256k1Keypair.create();
  const keys = sortedKeys(records);
  const nodes: Buffer[] = [];
  const data = buildTree(
    keys.map((key, i) => ({
      key,
      layer: layerOf(Buffer.from(key)),
      digest: digestOf(recordOf(key, i, seed, padding)),
    })),
    nodes,
  );
  const unsigned = { did, version: 3, data: cidOf(data), rev: tidAt(1.75e12), prev: null };
  const commit = Buffer.from(
    dagCbor.encode({ ...unsigned, sig: await keypair.sign(dagCbor.encode(unsigned)) }),
  );
  const root = cidOf(digestOf(commit));
  const sequence = order === 'tree' ? undefined : shuffled(records, seed);
  function* sections(): Generator<Buffer> {
    yield header([root]);
    yield sectionOf(commit);
    for (const node of nodes) yield sectionOf(node);
    for (let n = 0; n < records; n++) {
      const i = sequence?.[n] ?? n;
      yield sectionOf(recordOf(keys[i]!, i, seed, padding));
    }
  }
  return { did, key: keypair.did(), root, chunks: () => joined(sections()) };
}

function* joined(sections: Generator<Buffer>): Generator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for (const section of sections) {
    parts.push(section);
    size += section.length;
    if (size < 65_536) continue;
    yield Buffer.concat(parts);
    parts = [];
    size = 0;
  }
  yield Buffer.concat(parts);
}

function sectionOf(bytes: Buffer): Buffer {
  return Buffer.concat([varint(bytes.length + 36), HEAD, digestOf(bytes), bytes]);
}

function sortedKeys(records: number): string[] {
  const keys = Array.from(
    { length: records },
    (_, i) => `${NSIDS[MIX[i % 10]!]}/${tidAt(1.7e12 + i * 17, i & 1023)}`,
  );
  return keys.sort();
}

function shuffled(records: number, seed: number): Uint32Array {
  const { int } = random(seed);
  const order = Uint32Array.from({ length: records }, (_, i) => i);
  for (let i = records - 1; i > 0; i--) {
    const j = int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

const encoder = new NodeEncoder();

interface Leaf {
  key: string;
  layer: number;
  digest: Buffer;
}

/** Root digest of the tree of these leaves; its nodes are appended to `nodes`. */
function buildTree(leaves: readonly Leaf[], nodes: Buffer[]): Buffer {
  const top = leaves.reduce((layer, leaf) => Math.max(layer, leaf.layer), 0);
  return buildNode(leaves, 0, leaves.length, top, nodes, true)!;
}

function buildNode(
  leaves: readonly Leaf[],
  from: number,
  to: number,
  layer: number,
  nodes: Buffer[],
  isRoot = false,
): Buffer | null {
  if (from === to && !isRoot) return null;
  const entries: Leaf[] = [];
  // The left subtree, then one after each entry.
  const trees: (Buffer | null)[] = [];
  let begin = from;
  for (let i = from; i <= to; i++) {
    const leaf = i < to ? leaves[i]! : undefined;
    if (leaf !== undefined && leaf.layer < layer) continue;
    trees.push(buildNode(leaves, begin, i, layer - 1, nodes));
    if (leaf !== undefined) entries.push(leaf);
    begin = i + 1;
  }
  encoder.begin(entries.length);
  for (const [i, { key, digest }] of entries.entries()) {
    encoder.add(Buffer.from(key), 0, key.length, at(trees[i + 1]!), { bytes: digest, at: 0 });
  }
  const bytes = Buffer.from(encoder.finish(at(trees[0]!)));
  nodes.push(bytes);
  return digestOf(bytes);
}

function at(digest: Buffer | null) {
  return digest === null ? null : { bytes: digest, at: 0 };
}

function recordOf(key: string, i: number, seed: number, padding: number): Buffer {
  const { int, pick } = random(seed * 1_000_003 + i);
  const collection = key.slice(0, key.indexOf('/'));
  const createdAt = new Date(1.7e12 + i * 17).toISOString();
  const parts: Buffer[] = [];
  const subject = () => {
    parts.push(map(2), text('cid'), link(int(2 ** 31)), text('uri'));
    parts.push(
      text(
        `at://did:plc:${String(int(1e9)).padStart(24, 'a')}/app.bsky.feed.post/${tidAt(1.7e12 + int(1e9))}`,
      ),
    );
  };
  const extra = padding > 0 ? 1 : 0;
  if (collection === NSIDS.post) {
    parts.push(
      map(4 + extra),
      text('text'),
      text(Array.from({ length: 3 + int(35) }, () => pick(WORDS)).join(' ')),
    );
    parts.push(text('$type'), text(collection));
    if (extra) parts.push(text('extra'), text('x'.repeat(padding)));
    parts.push(text('langs'), Buffer.from([0x81]), text('en'));
    parts.push(text('createdAt'), text(createdAt));
  } else {
    parts.push(map(3 + extra), text('$type'), text(collection));
    if (extra) parts.push(text('extra'), text('x'.repeat(padding)));
    parts.push(text('subject'));
    if (collection === NSIDS.follow) parts.push(text(`did:plc:${String(int(1e9)).padStart(24, 'b')}`));
    else subject();
    parts.push(text('createdAt'), text(createdAt));
  }
  return Buffer.concat(parts);
}

function map(entries: number): Buffer {
  return Buffer.from([0xa0 | entries]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const { length } = bytes;
  if (length < 24) return Buffer.concat([Buffer.from([0x60 | length]), bytes]);
  if (length < 256) return Buffer.concat([Buffer.from([0x78, length]), bytes]);
  if (length < 65_536) return Buffer.concat([Buffer.from([0x79, length >> 8, length & 255]), bytes]);
  return Buffer.concat([Buffer.from([0x7a, 0, length >> 16, (length >> 8) & 255, length & 255]), bytes]);
}

function link(n: number): Buffer {
  return Buffer.concat([Buffer.from('d82a582500', 'hex'), HEAD, digestOf(Buffer.from(`${n}`))]);
}

function digestOf(bytes: Uint8Array): Buffer {
  return hash('sha256', bytes, 'buffer');
}

function cidOf(digest: Uint8Array): CID {
  return CID.createV1(0x71, Digest.create(0x12, digest));
}
