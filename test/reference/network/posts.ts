import { blob, type Json } from '../records.ts';
import { createdAt, danglingRef, facets, image, strongRef, words } from './parts.ts';
import type { Change, Held, World } from './world.ts';

export const POST = 'app.bsky.feed.post';
const LIST = 'app.bsky.graph.list';
const GENERATOR = 'app.bsky.feed.generator';

/** A post of `did`, often with its gates in the same commit, as the clients do it. */
export function post(world: World, did: string, reply?: Json): Held {
  const { random } = world;
  const rkey = world.tid();
  const record = postRecord(world, reply);
  const changes: Change[] = [{ action: 'create', collection: POST, rkey, record }];
  const uri = `at://${did}/${POST}/${rkey}`;
  const same = random.chance(0.9) ? (record['createdAt'] as string) : createdAt(world);
  if (!reply && random.chance(0.35)) changes.push(gate('create', threadgate(world, uri, same), rkey));
  if (random.chance(0.1)) changes.push(gate('create', postgate(world, uri, same), rkey));
  return world.commit(did, changes)[0]!;
}

export function reply(world: World, did: string): Held {
  const posts = world.all(POST);
  if (posts.length === 0) return post(world, did);
  // Half of the replies go to what is talked about just now, some of them to one's own thread.
  const own = world.random.chance(0.15) ? posts.filter((p) => p.did === did) : [];
  const hot = world.random.chance(0.5) ? posts.slice(-8) : posts;
  return post(world, did, replyRef(world, world.random.pickRecent(own.length ? own : hot)));
}

function replyRef(world: World, parent: Held): Json {
  const { random } = world;
  const above = (parent.record['reply'] as { root: Json } | undefined)?.root;
  if (random.chance(0.02)) return { root: danglingRef(world, POST), parent: danglingRef(world, POST) };
  if (random.chance(0.03)) return { root: strongRef(parent), parent: strongRef(parent) };
  if (random.chance(0.02))
    return { root: strongRef(random.pick(world.all(POST))), parent: strongRef(parent) };
  return { root: above ?? strongRef(parent), parent: strongRef(parent) };
}

function postRecord(world: World, reply?: Json): Json {
  const { random } = world;
  return {
    $type: POST,
    text: words(world, 1 + random.below(8)),
    createdAt: createdAt(world),
    ...(reply && { reply }),
    ...(random.chance(0.3) && { facets: facets(world) }),
    ...(random.chance(0.45) && { embed: embed(world) }),
    ...(random.chance(0.5) && { langs: random.chance(0.1) ? [] : ['en', 'de'].slice(random.below(2)) }),
    ...(random.chance(0.1) && { tags: random.chance(0.2) ? [] : ['water', 'über'] }),
    ...(random.chance(0.05) && { labels: selfLabels() }),
  };
}

function selfLabels(): Json {
  return { $type: 'com.atproto.label.defs#selfLabels', values: [{ val: 'nudity' }] };
}

function embed(world: World): Json {
  const kind = world.random.weighted({
    record: 8,
    images: 3,
    external: 2,
    video: 2,
    gallery: 2,
    media: 3,
    odd: 1,
  });
  if (kind === 'record') return { $type: 'app.bsky.embed.record', record: quoted(world) };
  if (kind === 'odd') return { $type: 'org.example.embed', anything: { goes: [1, true, 'x'] } };
  if (kind !== 'media') return media(world, kind);
  const record = {
    record: quoted(world),
    ...(world.random.chance(0.5) && { $type: 'app.bsky.embed.record' }),
  };
  const other = world.random.pick(['images', 'external', 'video', 'gallery'] as const);
  return { $type: 'app.bsky.embed.recordWithMedia', record, media: media(world, other) };
}

function quoted(world: World): Json {
  const { random } = world;
  const collection = random.chance(0.85) ? POST : random.pick([LIST, GENERATOR]);
  const candidates = world.all(collection);
  if (candidates.length === 0 || random.chance(0.03)) return danglingRef(world, collection);
  return strongRef(random.pickRecent(candidates));
}

function media(world: World, kind: 'images' | 'external' | 'video' | 'gallery'): Json {
  const { random } = world;
  const aspectRatio = { width: 4, height: 3 };
  const picture = () => ({ image: image(world), alt: random.chance(0.3) ? '' : words(world, 2) });
  const several = (n: number) => Array.from({ length: 1 + random.below(n) }, picture);
  const $type = `app.bsky.embed.${kind}`;
  if (kind === 'images') return { $type, images: several(4) };
  if (kind === 'gallery') {
    const items: Json[] = several(6).map((p) => ({ $type: `${$type}#image`, ...p, aspectRatio }));
    if (random.chance(0.2))
      items.splice(random.below(items.length + 1), 0, { $type: 'org.example.item', x: 1 });
    return { $type, items };
  }
  if (kind === 'video') {
    const alt = random.chance(0.5) && { alt: words(world, 3) };
    return { $type, video: blob(`video ${random.below(20)}`, 'video/mp4'), ...alt };
  }
  const thumb = random.chance(0.5) && { thumb: image(world) };
  return {
    $type,
    external: { uri: 'https://example.org/', title: words(world, 2), description: '', ...thumb },
  };
}

/** A change of a text, or of the embed; the place in the thread stays. */
export function editPost(world: World, did: string): void {
  const own = world.ownedBy(did, POST);
  if (own.length === 0) return;
  const { rkey, record } = world.random.pickRecent(own);
  const next: Json = { ...record, text: words(world, 4) };
  if (world.random.chance(0.3)) next['embed'] = embed(world);
  world.commit(did, [{ action: 'update', collection: POST, rkey, record: next }]);
}

function gate(action: 'create' | 'update', record: Json, rkey: string): Change {
  return { action, collection: record['$type'] as string, rkey, record };
}

export function threadgate(world: World, uri: string, at: string): Json {
  const { random } = world;
  const rule = () => {
    const $type = `app.bsky.feed.threadgate#${random.pick(['mentionRule', 'followerRule', 'followingRule', 'listRule'])}`;
    if (!$type.endsWith('listRule')) return { $type };
    const lists = world.all(LIST);
    return { $type, list: lists.length ? random.pick(lists).uri : danglingRef(world, LIST).uri };
  };
  const replies = world.all(POST).filter((p) => rootOf(p) === uri);
  const hidden = random.chance(0.5) ? replies.filter(() => random.chance(0.3)).map((p) => p.uri) : [];
  return {
    $type: 'app.bsky.feed.threadgate',
    post: uri,
    createdAt: at,
    ...(random.chance(0.85) && { allow: Array.from({ length: random.below(3) }, rule) }),
    ...(hidden.length > 0 && { hiddenReplies: hidden }),
  };
}

function rootOf(held: Held): string | undefined {
  return (held.record['reply'] as { root: { uri: string } } | undefined)?.root.uri;
}

export function postgate(world: World, uri: string, at: string): Json {
  const disabled = { $type: 'app.bsky.feed.postgate#disableRule' };
  return {
    $type: 'app.bsky.feed.postgate',
    post: uri,
    createdAt: at,
    ...(world.random.chance(0.8) && { embeddingRules: world.random.chance(0.7) ? [disabled] : [] }),
    ...(world.random.chance(0.3) && { detachedEmbeddingUris: [danglingRef(world, POST).uri] }),
  };
}

/** A gate set, changed or lifted after its post. */
export function changeGate(world: World, did: string): void {
  const { random } = world;
  const own = world.ownedBy(did, POST);
  if (own.length === 0) return;
  const target = random.pickRecent(own);
  const kind = random.pick(['threadgate', 'postgate'] as const);
  const collection = `app.bsky.feed.${kind}`;
  const before = world.held.get(`at://${did}/${collection}/${target.rkey}`);
  if (before && random.chance(0.4)) {
    world.commit(did, [{ action: 'delete', collection, rkey: target.rkey }]);
    return;
  }
  const at = before && random.chance(0.7) ? (before.record['createdAt'] as string) : createdAt(world);
  const record = kind === 'threadgate' ? threadgate(world, target.uri, at) : postgate(world, target.uri, at);
  world.commit(did, [gate(before ? 'update' : 'create', record, target.rkey)]);
}
