import type { Json } from '../records.ts';
import { create } from './graph.ts';
import { createdAt, danglingRef, facets, image, strongRef, words } from './parts.ts';
import { POST } from './posts.ts';
import type { World } from './world.ts';

export const PROFILE = 'app.bsky.actor.profile';

/** A profile made or changed; who once joined by a starter pack says so ever after. */
export function profile(world: World, did: string): void {
  const { random } = world;
  const before = world.held.get(`at://${did}/${PROFILE}/self`)?.record;
  const packs = world.all('app.bsky.graph.starterpack');
  const joined = packs.length > 0 && random.chance(0.4) ? strongRef(random.pick(packs)) : undefined;
  const pinned = world.ownedBy(did, POST).at(-1);
  create(
    world,
    did,
    PROFILE,
    {
      ...(random.chance(0.9) && { displayName: words(world, 2) }),
      ...(random.chance(0.6) && { description: words(world, 6) }),
      ...(random.chance(0.5) && { avatar: image(world) }),
      ...(random.chance(0.3) && { banner: image(world) }),
      ...(pinned && random.chance(0.2) && { pinnedPost: strongRef(pinned) }),
      ...optional(
        'createdAt',
        before ? before['createdAt'] : random.chance(0.8) ? createdAt(world) : undefined,
      ),
      ...optional('joinedViaStarterPack', before ? before['joinedViaStarterPack'] : joined),
    },
    'self',
  );
}

function optional(key: string, value: unknown): Json {
  return value === undefined ? {} : { [key]: value };
}

export function generator(world: World, did: string): void {
  const { random } = world;
  create(
    world,
    did,
    'app.bsky.feed.generator',
    {
      did: random.pick(world.dids),
      displayName: words(world, 1),
      createdAt: createdAt(world),
      ...(random.chance(0.5) && { description: words(world, 4), descriptionFacets: facets(world) }),
      ...(random.chance(0.5) && { avatar: image(world) }),
    },
    random.chance(0.5) ? `feed-${random.below(5)}` : world.tid(),
  );
}

/** One of the records of which an account has one, under the key `self`. */
export function declaration(world: World, did: string): void {
  const { random } = world;
  const at = createdAt(world);
  const choices: [string, Json][] = [
    ['app.bsky.labeler.service', { policies: { labelValues: ['spam', 'rude'] }, createdAt: at }],
    ['app.bsky.actor.status', { status: 'app.bsky.actor.status#live', durationMinutes: 60, createdAt: at }],
    ['app.bsky.notification.declaration', { allowSubscriptions: random.pick(['followers', 'none']) }],
    ['chat.bsky.actor.declaration', { allowIncoming: random.pick(['all', 'none', 'following']) }],
    ['com.germnetwork.declaration', { version: '1.2.3', currentKey: { $bytes: 'AQIDBA' } }],
  ];
  const [collection, fields] = random.pick(choices);
  create(world, did, collection, fields, random.chance(0.95) ? 'self' : 'other');
}

/** A record of a lexicon that no AppView of this app knows. */
export function foreign(world: World, did: string): void {
  create(world, did, 'org.example.note', { about: danglingRef(world, POST), text: words(world, 3) });
}
