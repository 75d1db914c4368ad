import { encodeJson, type Json } from '../protocol/cbor.ts';
import { cidOf, cidText } from '../protocol/cid.ts';
import { plcDid } from '../protocol/did.ts';
import { tidOf } from '../protocol/tid.ts';
import { type Kind, type Plan, planOf } from './plan.ts';
import { type PostContext, postJson } from './post.ts';
import { numberOf, Random } from './random.ts';

/** What points at a record. */
export interface Ref {
  uri: string;
  cid: string;
}

/** A post and the root of its thread, where it is a reply. */
export interface PostRef extends Ref {
  root?: Ref;
}

export interface CatalogOptions {
  seed: number;
  repos: number;
  /** On average; single repos differ by a factor of ten both ways. */
  recordsPerRepo: number;
  /** Sizes of single repos, by index. */
  sizes?: Readonly<Record<number, number>>;
}

/** When the oldest record was made, and how long after that the newest; in ms. */
export const EPOCH = Date.UTC(2025, 0, 1);
export const SPAN = 500 * 86_400_000;

export const POST = 'app.bsky.feed.post';
/** Posts whose CIDs are remembered. */
const REMEMBERED = 200_000;
const PER_REPO = 2 ** 22;

/**
 * Who is on the network and what they had written when it began: a pure
 * function of the seed, so that any repo can be made when it is asked for, and
 * again. Records point at each other across repos with true CIDs, since a post
 * can be made alone; it points only at posts older than itself.
 */
export class Catalog implements PostContext {
  readonly options: CatalogOptions;
  #dids: string[] = [];
  #plans = new Map<number, Plan>();
  #refs = new Map<number, PostRef>();

  constructor(options: CatalogOptions) {
    this.options = options;
  }

  get repos(): number {
    return this.options.repos;
  }

  did(index: number): string {
    this.#dids[index] ??= plcDid(`did ${this.options.seed} ${index}`);
    return this.#dids[index];
  }

  random(...names: number[]): Random {
    return new Random(this.options.seed, ...names);
  }

  /** How many records of each kind a repo has. */
  plan(index: number): Plan {
    let plan = this.#plans.get(index);
    if (!plan) {
      plan = planOf(this.random(1, index), this.options.sizes?.[index], this.options.recordsPerRepo);
      if (this.#plans.size > REMEMBERED) this.#plans.clear();
      this.#plans.set(index, plan);
    }
    return plan;
  }

  /** When the k-th of `count` records of a kind was made, in microseconds: later ones later. */
  micros(index: number, kind: Kind, k: number, count: number): number {
    const share = (k + this.random(2, index, numberOf(kind), k).next()) / count;
    return Math.floor((EPOCH + SPAN * share) * 1000);
  }

  postKey(index: number, k: number): string {
    return tidOf(this.micros(index, 'post', k, this.plan(index).post), index & 1023);
  }

  /** The k-th post of a repo, as others point at it. */
  post(index: number, k: number): PostRef {
    const id = index * PER_REPO + k;
    let ref = this.#refs.get(id);
    if (!ref) {
      ref = this.#refOf(index, k, this.postJson(index, k));
      if (this.#refs.size > REMEMBERED) this.#refs.clear();
      this.#refs.set(id, ref);
    }
    return ref;
  }

  postJson(index: number, k: number): Json {
    return postJson(this, index, k);
  }

  /** A post made before a share of the network's time had passed, by somebody popular. */
  postBefore(random: Random, share: number): PostRef | undefined {
    for (let tries = 0; tries < 4; tries++) {
      const author = random.popular(this.repos);
      const older = Math.floor(share * this.plan(author).post);
      if (older > 0) return this.post(author, random.below(older));
    }
    return undefined;
  }

  /** A post that never was. */
  nowhere(random: Random): Ref {
    const rkey = tidOf((EPOCH + random.below(SPAN)) * 1000 + 7, 1023);
    const cid = cidText(cidOf(Buffer.from(`nowhere ${random.bits()}`)));
    return { uri: `at://${this.did(random.below(this.repos))}/${POST}/${rkey}`, cid };
  }

  #refOf(index: number, k: number, json: Json): PostRef {
    const cid = cidText(cidOf(encodeJson(json)));
    const uri = `at://${this.did(index)}/${POST}/${this.postKey(index, k)}`;
    const reply = json['reply'] as { root: Ref } | undefined;
    return reply ? { uri, cid, root: reply.root } : { uri, cid };
  }
}
