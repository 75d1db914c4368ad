import type { BlockIndex } from './block-index.ts';
import type { BlockStore } from './block-store.ts';
import { CID_BYTES, type Cid } from './cid.ts';
import { RepoError } from './errors.ts';
import { RecordTable } from './record-table.ts';
import { MAX_KEY_BYTES } from './repo-path.ts';
import { latin1Text } from './text.ts';
import { layerOf, TreeNode } from './tree-node.ts';

/** Offset of the digest in a CID. */
const DIGEST_AT = CID_BYTES - 32;

/** A node on the way from the root to where the walk is. */
class Level {
  node = new TreeNode();
  layer = 0;
  /** Next entry; −1 before the left subtree. */
  next = -1;
  /** Holds the node's bytes where they come from a file. */
  scratch: Buffer | undefined;
}

/**
 * Walks a whole tree in order and checks all that makes it the one right form
 * of its contents: keys strictly ascending over the whole tree, every key at
 * the layer of its hash, children one layer below their parent, no node twice
 * (a node shared by two parents would repeat its keys), no empty node but the
 * root of an empty repo, no block missing. The layers bound the depth, the
 * blocks bound the visits.
 */
export class TreeWalk {
  readonly table = new RecordTable();
  #index: BlockIndex;
  #store: BlockStore;
  #levels: Level[] = [];
  #depth = 0;
  #visited: Uint8Array;
  #last = Buffer.alloc(MAX_KEY_BYTES);
  #lastLength = 0;

  /** @throws RepoError as `step` */
  constructor(index: BlockIndex, store: BlockStore, root: Cid) {
    this.#index = index;
    this.#store = store;
    this.#visited = new Uint8Array((index.size >> 3) + 1);
    this.#begin(root);
  }

  #begin(root: Cid): void {
    const level = this.#enter(root.bytes, DIGEST_AT, 0);
    const node = level.node;
    if (node.count === 0) {
      if (node.left !== 0) refuse('the root of the tree has no entries');
      this.#depth = 0;
      return;
    }
    node.readKey(0);
    level.layer = layerOf(node.key.subarray(0, node.keyLength));
    node.keyLength = 0;
  }

  /**
   * Goes on for some `budget` entries and nodes; true when the tree is done.
   *
   * @throws RepoError `missing-block`, `bad-mst`, `bad-path`
   */
  step(budget: number): boolean {
    for (; this.#depth > 0 && budget > 0; budget--) {
      const level = this.#levels[this.#depth - 1]!;
      const node = level.node;
      const next = level.next++;
      if (next === -1) {
        if (node.left !== 0) this.#descend(node.bytes, node.left, level.layer);
      } else if (next < node.count) this.#entry(level, next);
      else this.#depth--;
    }
    return this.#depth === 0;
  }

  #entry(level: Level, i: number): void {
    const node = level.node;
    node.readKey(i);
    this.#checkOrder(node.key, node.keyLength);
    if (layerOf(node.key.subarray(0, node.keyLength)) !== level.layer) {
      refuse('a key of the tree is not at the layer of its hash');
    }
    const block = this.#index.find(node.bytes, node.value(i));
    if (block < 0) missing(`of the record ${latin1Text(node.key, 0, node.keyLength)}`);
    this.table.add(node.key, node.keyLength, block);
    const tree = node.tree(i);
    if (tree !== 0) this.#descend(node.bytes, tree, level.layer);
  }

  #descend(bytes: Buffer, digestAt: number, layer: number): void {
    if (layer === 0) refuse('a node at layer 0 has a subtree');
    const { node } = this.#enter(bytes, digestAt, layer - 1);
    if (node.count === 0 && node.left === 0) refuse('a node below the root is empty');
  }

  #enter(bytes: Uint8Array, digestAt: number, layer: number): Level {
    const block = this.#index.find(bytes, digestAt);
    if (block < 0) missing('of a node of the tree');
    const bit = 1 << (block & 7);
    if ((this.#visited[block >> 3]! & bit) !== 0) refuse('two parents share a node of the tree');
    this.#visited[block >> 3]! |= bit;
    const level = this.#levels[this.#depth] ?? this.#addLevel();
    const length = this.#index.length(block);
    const read = this.#store.read(this.#index.position(block), length, level.scratch);
    if (this.#store.spooled) level.scratch = read;
    level.node.read(read, this.#store.offset, length);
    level.layer = layer;
    level.next = -1;
    this.#depth++;
    return level;
  }

  #addLevel(): Level {
    const level = new Level();
    this.#levels.push(level);
    return level;
  }

  #checkOrder(key: Buffer, length: number): void {
    if (this.#last.compare(key, 0, length, 0, this.#lastLength) >= 0 && this.table.count > 0) {
      refuse('the keys of the tree are not in ascending order');
    }
    key.copy(this.#last, 0, 0, length);
    this.#lastLength = length;
  }
}

function refuse(message: string): never {
  throw new RepoError('bad-mst', message);
}

function missing(what: string): never {
  throw new RepoError('missing-block', `the CAR lacks the block ${what}`);
}
