import type { Json } from '../records.ts';
import { createdAt, danglingRef, facets, image, strongRef, words } from './parts.ts';
import { POST } from './posts.ts';
import type { Held, World } from './world.ts';

const GRAPH = 'app.bsky.graph';
const LIST = `${GRAPH}.list`;
const REPOST = 'app.bsky.feed.repost';

/** A new record of `collection` under a fresh key. */
export function create(
  world: World,
  did: string,
  collection: string,
  fields: Json,
  rkey = world.tid(),
): Held {
  const record = { $type: collection, ...fields };
  const action = world.held.has(`at://${did}/${collection}/${rkey}`) ? 'update' : 'create';
  return world.commit(did, [{ action, collection, rkey, record }])[0]!;
}

/** A like or a repost: of one's own post, of one liked already, of one deleted, of a feed, through a repost. */
export function react(world: World, did: string, collection: string): void {
  const { random } = world;
  const kinds = collection === REPOST || random.chance(0.9) ? POST : 'app.bsky.feed.generator';
  const candidates = world.all(kinds);
  const again = random.chance(0.08) ? world.ownedBy(did, collection) : [];
  const subject = again.length
    ? random.pick(again).record['subject']
    : candidates.length === 0 || random.chance(0.03)
      ? danglingRef(world, POST)
      : strongRef(random.pickRecent(candidates));
  const reposts = world.all(REPOST);
  const via = reposts.length > 0 && random.chance(0.25) && { via: strongRef(random.pickRecent(reposts)) };
  create(world, did, collection, { subject, createdAt: createdAt(world), ...via });
}

/** A follow, block or verification of another account, of oneself, or a second one of the same. */
export function relate(world: World, did: string, collection: string): void {
  const { random } = world;
  const own = random.chance(0.08) ? world.ownedBy(did, collection) : [];
  const subject = own.length ? random.pick(own).record['subject'] : random.pick(world.dids);
  const more = collection.endsWith('verification') && { handle: 'alice.test', displayName: words(world, 1) };
  create(world, did, collection, { subject, createdAt: createdAt(world), ...more });
}

export function list(world: World, did: string): void {
  const { random } = world;
  const purpose = random.pick(['modlist', 'curatelist', 'referencelist']);
  create(world, did, LIST, {
    name: words(world, 2),
    purpose: `app.bsky.graph.defs#${purpose}`,
    createdAt: createdAt(world),
    ...(random.chance(0.4) && { description: words(world, 5), descriptionFacets: facets(world) }),
    ...(random.chance(0.3) && { avatar: image(world) }),
  });
}

export function listItem(world: World, did: string): void {
  const { random } = world;
  const own = world.ownedBy(did, LIST);
  const lists = random.chance(0.05) ? world.all(LIST) : own;
  if (lists.length === 0) {
    list(world, did);
    return;
  }
  const again = random.chance(0.08) ? world.ownedBy(did, `${GRAPH}.listitem`) : [];
  const subject = random.pick(world.dids);
  const pair = again.length
    ? { list: random.pick(again).record['list'], subject: random.pick(again).record['subject'] }
    : { list: random.pick(lists).uri, subject };
  create(world, did, `${GRAPH}.listitem`, { ...pair, createdAt: createdAt(world) });
}

/** A block of a whole list, or the wish not to be shown on one. */
export function onList(world: World, did: string, collection: string): void {
  const { random } = world;
  const lists = world.all(LIST);
  const own = random.chance(0.3) ? world.ownedBy(did, collection) : [];
  const uri = own.length
    ? own[0]!.record['subject']
    : lists.length
      ? random.pick(lists).uri
      : danglingRef(world, LIST).uri;
  create(world, did, collection, { subject: uri, createdAt: createdAt(world) });
}

export function starterPack(world: World, did: string): void {
  const lists = world.all(LIST);
  const uri = lists.length ? world.random.pick(lists).uri : danglingRef(world, LIST).uri;
  create(world, did, `${GRAPH}.starterpack`, {
    name: words(world, 2),
    list: uri,
    createdAt: createdAt(world),
  });
}
