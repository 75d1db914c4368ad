import { declaration, foreign, generator, profile } from './actor.ts';
import { create, list, listItem, onList, react, relate, starterPack } from './graph.ts';
import { misplaced, spoiled } from './invalid.ts';
import { changeGate, editPost, POST, post, reply } from './posts.ts';
import { World } from './world.ts';

export interface NetworkOptions {
  seed: number;
  /** 30 unless told. */
  accounts?: number;
  /** 3,000 unless told. */
  operations?: number;
}

type Act = (world: World, did: string) => void;

const ACTS: Record<string, [weight: number, act: Act]> = {
  post: [12, post],
  reply: [22, reply],
  like: [16, (w, did) => react(w, did, 'app.bsky.feed.like')],
  repost: [8, (w, did) => react(w, did, 'app.bsky.feed.repost')],
  follow: [9, (w, did) => relate(w, did, 'app.bsky.graph.follow')],
  block: [2, (w, did) => relate(w, did, 'app.bsky.graph.block')],
  verification: [1.5, (w, did) => relate(w, did, 'app.bsky.graph.verification')],
  list: [1, list],
  listItem: [3, listItem],
  listBlock: [1, (w, did) => onList(w, did, 'app.bsky.graph.listblock')],
  optOut: [1, (w, did) => onList(w, did, 'app.bsky.graph.referencelistoptout')],
  starterPack: [0.7, starterPack],
  profile: [2, profile],
  generator: [1, generator],
  declaration: [1.5, declaration],
  foreign: [0.5, foreign],
  gate: [4, changeGate],
  edit: [1, editPost],
  update: [1.5, update],
  remove: [8, remove],
  spoiled: [1.5, spoiled],
  misplaced: [1, misplaced],
};

/** A random network with its whole history. The same options give the same network. */
export function generateNetwork(options: NetworkOptions): World {
  const world = new World(options.seed, options.accounts ?? 30);
  const weights = Object.fromEntries(Object.entries(ACTS).map(([name, [weight]]) => [name, weight]));
  const wanted = options.operations ?? 3_000;
  for (let done = 0; done < wanted; done = world.commits.reduce((n, c) => n + c.operations.length, 0)) {
    ACTS[world.random.weighted(weights)]![1](world, world.random.pick(world.dids));
  }
  return world;
}

/** Names and descriptions change; what a record points at does not. */
function update(world: World, did: string): void {
  const names = ['app.bsky.graph.list', 'app.bsky.graph.starterpack', 'app.bsky.feed.generator'];
  const own = names.flatMap((name) => world.ownedBy(did, name));
  if (own.length === 0) return;
  const { collection, rkey, record } = world.random.pick(own);
  const field = collection.endsWith('generator') ? 'displayName' : 'name';
  create(world, did, collection, { ...record, [field]: `renamed ${world.random.below(100)}` }, rkey);
}

function remove(world: World, did: string): void {
  const own = [...world.held.values()].filter((h) => h.did === did);
  const posts = world.random.chance(0.3) ? own.filter((h) => h.collection === POST) : own;
  if (posts.length === 0) return;
  const { collection, rkey } = world.random.pickRecent(posts);
  world.commit(did, [{ action: 'delete', collection, rkey }]);
}
