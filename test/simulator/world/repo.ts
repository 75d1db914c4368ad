import { decode } from '@atcute/cbor';
import type { Random } from '../content/random.ts';
import { type Block, car } from '../protocol/car.ts';
import { encodeJson, type Json } from '../protocol/cbor.ts';
import { cidKey, cidOf } from '../protocol/cid.ts';
import { type Commit, signCommit } from '../protocol/commit.ts';
import type { Op } from '../protocol/frame.ts';
import type { SigningKey } from '../protocol/keys.ts';
import { blockOf, buildTree, cidOfNode, getValue, type Node, nodes } from '../protocol/tree.ts';
import { coveringProof, removeKey, setKey } from '../protocol/tree-edit.ts';
import { PathBag } from './path-bag.ts';

export type Change =
  | { action: 'create' | 'update'; path: string; json: Json }
  /** A record as bytes, whatever they are. */
  | { action: 'create' | 'update'; path: string; block: Buffer }
  | { action: 'delete'; path: string };

/** A commit with all that a frame about it needs. */
export interface Step {
  commit: Commit;
  before: Commit;
  ops: Op[];
  blocks: Block[];
}

/** One account's repo as it is now: records, tree, signed commit. */
export class Repo {
  readonly did: string;
  readonly records: Map<string, Buffer>;
  commit: Commit;
  tree: Node;
  #bag: PathBag | undefined;

  private constructor(did: string, records: Map<string, Buffer>, tree: Node, commit: Commit) {
    this.did = did;
    this.records = records;
    this.tree = tree;
    this.commit = commit;
  }

  /** A repo of these records, under one commit. */
  static create(did: string, rev: string, key: SigningKey, content: Iterable<[string, Json]>): Repo {
    const records = new Map<string, Buffer>();
    for (const [path, json] of content) records.set(path, encodeJson(json));
    const paths = [...records.keys()].sort();
    const tree = buildTree(
      paths,
      paths.map((path) => cidOf(records.get(path)!)),
    );
    return new Repo(did, records, tree, signCommit({ did, rev, data: cidOfNode(tree) }, key));
  }

  /** Makes a commit. Without changes it has the same tree and another rev, as after a migration. */
  apply(changes: readonly Change[], rev: string, key: SigningKey): Step {
    const before = this.commit;
    const ops = changes.map((change) => this.#apply(change));
    this.commit = signCommit({ did: this.did, rev, data: cidOfNode(this.tree) }, key);
    return { commit: this.commit, before, ops, blocks: this.#blocksOf(ops) };
  }

  /** The path of one of the records, any of them. */
  draw(random: Random): string | undefined {
    this.#bag ??= new PathBag([...this.records.keys()].sort());
    return this.#bag.draw(random);
  }

  json(path: string): Json | undefined {
    const block = this.records.get(path);
    return block && jsonOf(block);
  }

  /** The whole repo as a CAR: the commit, then the tree from the root down with each record where it stands. */
  car(): Buffer {
    return car(this.commit.cid, this.blocks());
  }

  *blocks(): Generator<Block> {
    yield [this.commit.cid, this.commit.block];
    const seen = new Set<string>();
    for (const n of nodes(this.tree)) {
      yield [cidOfNode(n), blockOf(n)];
      for (let i = 0; i < n.keys.length; i++) {
        const cid = n.values[i]!;
        const key = cidKey(cid);
        if (seen.has(key)) continue;
        seen.add(key);
        yield [cid, this.records.get(n.keys[i]!)!];
      }
    }
  }

  #apply(change: Change): Op {
    const { action, path } = change;
    const old = getValue(this.tree, path);
    const prev = old && { prev: old };
    if (action === 'delete') {
      this.records.delete(path);
      this.#bag?.delete(path);
      this.tree = removeKey(this.tree, path);
      return { action, path, cid: null, ...prev };
    }
    const block = 'block' in change ? change.block : encodeJson(change.json);
    const cid = cidOf(block);
    this.records.set(path, block);
    this.#bag?.add(path);
    this.tree = setKey(this.tree, path, cid);
    return { action, path, cid, ...prev };
  }

  /** The commit, the nodes by which the operations can be proved and undone, and the new records. */
  #blocksOf(ops: readonly Op[]): Block[] {
    const proof = new Set<Node>([this.tree]);
    for (const { path } of ops) coveringProof(this.tree, path, proof);
    const blocks: Block[] = [[this.commit.cid, this.commit.block]];
    for (const n of proof) blocks.push([cidOfNode(n), blockOf(n)]);
    const records = new Map<string, Block>();
    for (const { path, cid } of ops) if (cid) records.set(cidKey(cid), [cid, this.records.get(path)!]);
    blocks.push(...records.values());
    return blocks;
  }
}

/** A record's block as lexicon JSON. */
export function jsonOf(block: Uint8Array): Json {
  return JSON.parse(JSON.stringify(decode(block)));
}
