import { type Block, car } from '../protocol/car.ts';
import { array, bytes, integer, link, map, NULL } from '../protocol/cbor.ts';
import { type Cid, cidOf } from '../protocol/cid.ts';
import { signCommit } from '../protocol/commit.ts';
import { leaves } from '../protocol/tree.ts';
import type { Account } from '../world/account.ts';

type Leaf = readonly [key: string, value: Cid];

const DUMMY = map({ a: integer(1) });

/** A leaf whose record is there and means nothing. */
export function dummyLeaf(key: string): Leaf {
  return [key, cidOf(DUMMY)];
}

/** A few leaves of an account's tree in order; made up where it has too few. */
export function leavesOf(account: Account): Leaf[] {
  const some: Leaf[] = [...leaves(account.repo.tree)].slice(0, 8);
  for (let i = some.length; i < 8; i++) some.push(dummyLeaf(`zz.z.z/${i}`));
  return some;
}

/** Trees that no honest software makes, under a commit that the account's key has signed. */
export class Forest {
  readonly #account: Account;
  readonly #blocks: Block[] = [];

  constructor(account: Account) {
    this.#account = account;
  }

  /** Every node points twice at the next: `levels` blocks, and 2 to their number ways through them. */
  sharedSubtrees(levels: number): Buffer {
    const value = this.#add(DUMMY);
    let below: Cid | undefined;
    for (let level = 0; level < levels; level++) {
      below = this.#node([[`a.b.c/${level}`, value]], below, below);
    }
    return this.#sealed(below!);
  }

  /** Every node holds nothing but the next. */
  chain(depth: number): Buffer {
    let below = this.#node([['a.b.c/d', this.#add(DUMMY)]]);
    for (let i = 0; i < depth; i++) below = this.#node([], below);
    return this.#sealed(below);
  }

  /** All leaves in one node, as they come; `prefix` is what each claims to share with the one before. */
  flat(all: readonly Leaf[], { prefix }: { prefix?: number } = {}): Buffer {
    for (const [key] of all) this.#add(this.#account.repo.records.get(key) ?? DUMMY);
    return this.#sealed(this.#node(all, undefined, undefined, prefix));
  }

  /** A block in the place of the tree's root. */
  over(block: Buffer): Buffer {
    return this.#sealed(this.#add(block));
  }

  #add(block: Buffer): Cid {
    const cid = cidOf(block);
    this.#blocks.push([cid, block]);
    return cid;
  }

  #node(all: readonly Leaf[], left?: Cid, right?: Cid, prefix?: number): Cid {
    let before = '';
    const entries = all.map(([key, value]) => {
      const shared = prefix === undefined ? sharedLength(before, key) : prefix;
      before = key;
      return map({
        p: integer(shared),
        k: bytes(Buffer.from(key.slice(Math.max(shared, 0) > key.length ? 0 : Math.max(shared, 0)))),
        v: link(value),
        t: right ? link(right) : NULL,
      });
    });
    return this.#add(map({ l: left ? link(left) : NULL, e: array(entries) }));
  }

  #sealed(data: Cid): Buffer {
    const { did, key, rev } = this.#account;
    const commit = signCommit({ did, rev, data }, key);
    return car(commit.cid, [[commit.cid, commit.block], ...this.#blocks]);
  }
}

function sharedLength(a: string, b: string): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
