import type { Json } from '../records.ts';
import { danglingRef } from './parts.ts';
import { POST } from './posts.ts';
import type { World } from './world.ts';

/** Copies a record that exists and spoils one of its fields, under a key of its own. */
export function spoiled(world: World, did: string): void {
  const { random } = world;
  const own = [...world.held.values()].filter((h) => h.did === did && h.rkey !== 'self' && !h.odd);
  if (own.length === 0) return;
  const { collection, record } = random.pick(own);
  const copy = structuredClone(record);
  const fields = Object.keys(copy).filter((key) => key !== '$type');
  const field = random.pick(fields);
  if (random.chance(0.4)) delete copy[field];
  else copy[field] = random.pick<unknown>([7, 'nonsense', { $type: 'x.y' }, [], true, null, '2026-13-45']);
  odd(world, did, collection, copy);
}

/** Valid by its lexicon, refused by the indexer: of another's post or list, or by handle. */
export function misplaced(world: World, did: string): void {
  const at = new Date(world.now).toISOString();
  const rkey = world.tid();
  const other = danglingRef(world, POST);
  const byHandle = { uri: `at://alice.test/${POST}/${rkey}`, cid: other.cid };
  const choices: Json[] = [
    { $type: 'app.bsky.feed.threadgate', post: other.uri, createdAt: at },
    { $type: 'app.bsky.feed.postgate', post: `at://${did}/${POST}/other`, createdAt: at },
    { $type: POST, text: 'x', reply: { root: byHandle, parent: other }, createdAt: at },
    { $type: POST, text: 'x', reply: { root: other, parent: byHandle }, createdAt: at },
    { $type: 'app.bsky.feed.like', subject: byHandle, createdAt: at },
    { $type: POST, text: 'x', embed: { $type: 'app.bsky.embed.record', record: byHandle }, createdAt: at },
    { $type: 'app.bsky.graph.listitem', list: other.uri, subject: did, createdAt: at },
    { $type: 'app.bsky.graph.referencelistoptout', subject: other.uri, createdAt: at },
  ];
  const record = world.random.pick(choices);
  odd(world, did, record['$type'] as string, record);
}

function odd(world: World, did: string, collection: string, record: Json): void {
  const [held] = world.commit(did, [{ action: 'create', collection, rkey: world.tid(), record }]);
  held!.odd = true;
}
