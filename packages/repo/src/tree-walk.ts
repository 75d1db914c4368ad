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
const NOTHING = Buffer.alloc(0);

/** A node on the way from the root to where the walk is. */
class Level {
  node = new TreeNode();
  /** Where the node's bytes are, if they come from a file. */
  scratch = Buffer.allocUnsafeSlow(4096);
  layer = 0;
  /** Next entry; −1 before the left subtree. */
  next = -1;
}

/** What a walk meets, in order. */
export interface TreeVisitor {
  /**
   * A key, of which the first `shared` bytes are those of the key before,
   * with the digest of its record at `valueAt`. The key's buffer is the
   * walk's: copy what is kept.
   */
  entry(key: Buffer, keyLength: number, shared: number, layer: number, bytes: Buffer, valueAt: number): void;
  /** A subtree whose root at `layer` is not among the blocks. */
  absent(bytes: Buffer, digestAt: number, layer: number): void;
}

/** Collects the records of a whole tree, in which nothing may be absent. */
export class WholeTree implements TreeVisitor {
  readonly table = new RecordTable();
  #index: BlockIndex;

  constructor(index: BlockIndex) {
    this.#index = index;
  }

  entry(
    key: Buffer,
    keyLength: number,
    shared: number,
    _layer: number,
    bytes: Buffer,
    valueAt: number,
  ): void {
    const block = this.#index.find(bytes, valueAt);
    if (block < 0) missing(`of the record ${latin1Text(key, 0, keyLength)}`);
    this.table.add(key, keyLength, shared, block);
  }

  absent(): never {
    missing('of a node of the tree');
  }
}

/**
 * Walks a tree in order and checks all that makes it the one right form
 * of its contents: keys strictly ascending over the whole tree, every key at
 * the layer of its hash, children one layer below their parent, no node twice
 * (a node shared by two parents would repeat its keys), no empty node but the
 * root of an empty repo. The layers bound the depth, the blocks bound the
 * visits.
 */
export class TreeWalk {
  #index!: BlockIndex;
  #store!: BlockStore;
  #visitor!: TreeVisitor;
  #levels: Level[] = [];
  #depth = 0;
  #visited!: Uint8Array;
  /** The key met last. */
  #key = Buffer.alloc(MAX_KEY_BYTES);
  #keyLength = 0;
  /** Views of `#key` by their length: making one costs a third of hashing it. */
  #keys: Buffer[] = [];

  /** Lets go of the tree. */
  end(): void {
    this.#index = undefined as never;
    this.#store = undefined as never;
    this.#visitor = undefined as never;
    for (const level of this.#levels) level.node.bytes = NOTHING;
  }

  /**
   * Goes to the root of a tree. A walk may begin anew at any time, which
   * saves the making of its buffers.
   *
   * @throws RepoError as `step`
   */
  begin(index: BlockIndex, store: BlockStore, root: Cid, visitor: TreeVisitor): this {
    this.#index = index;
    this.#store = store;
    this.#visitor = visitor;
    this.#visited = new Uint8Array((index.size >> 3) + 1);
    this.#depth = 0;
    this.#keyLength = 0;
    this.#enterRoot(root);
    return this;
  }

  #enterRoot(root: Cid): void {
    const block = this.#index.find(root.bytes, DIGEST_AT);
    if (block < 0) missing('of the root of the tree');
    const level = this.#enter(block, 0);
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
    const shared = this.#advance(node.key, node.keyLength);
    const length = this.#keyLength;
    this.#keys[length] ??= this.#key.subarray(0, length);
    if (layerOf(this.#keys[length]) !== level.layer) {
      refuse('a key of the tree is not at the layer of its hash');
    }
    this.#visitor.entry(this.#key, length, shared, level.layer, node.bytes, node.value(i));
    const tree = node.tree(i);
    if (tree !== 0) this.#descend(node.bytes, tree, level.layer);
  }

  #descend(bytes: Buffer, digestAt: number, above: number): void {
    if (above === 0) refuse('a node at layer 0 has a subtree');
    const block = this.#index.find(bytes, digestAt);
    if (block < 0) {
      this.#visitor.absent(bytes, digestAt, above - 1);
      return;
    }
    const { node } = this.#enter(block, above - 1);
    if (node.count === 0 && node.left === 0) refuse('a node below the root is empty');
  }

  #enter(block: number, layer: number): Level {
    const bit = 1 << (block & 7);
    if ((this.#visited[block >> 3]! & bit) !== 0) refuse('two parents share a node of the tree');
    this.#visited[block >> 3]! |= bit;
    const level = this.#levels[this.#depth] ?? this.#addLevel();
    const length = this.#index.length(block);
    if (level.scratch.length < length) level.scratch = Buffer.allocUnsafeSlow(length * 2);
    const bytes = this.#store.read(this.#index.position(block), length, level.scratch);
    level.node.read(bytes, this.#store.offset, length);
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

  /** Moves on to the next key, which must be above the one before. Returns how many bytes they share. */
  #advance(key: Buffer, length: number): number {
    const before = this.#key;
    const shorter = Math.min(length, this.#keyLength);
    let i = 0;
    while (i < shorter && key[i] === before[i]) i++;
    if (i === length || (i < shorter && key[i]! < before[i]!)) {
      refuse('the keys of the tree are not in ascending order');
    }
    for (let k = i; k < length; k++) before[k] = key[k]!;
    this.#keyLength = length;
    return i;
  }
}

function refuse(message: string): never {
  throw new RepoError('bad-mst', message);
}

function missing(what: string): never {
  throw new RepoError('missing-block', `the CAR lacks the block ${what}`);
}
