import { blob, type Json } from '../records.ts';
import type { Held, World } from './world.ts';

const WORDS =
  'river source delta stone water bridge mill spring rain flood lake canal reed otter heron'.split(' ');

export function words(world: World, count: number): string {
  return Array.from({ length: count }, () => world.random.pick(WORDS)).join(' ');
}

/**
 * A createdAt as clients write it: mostly the present, in several notations,
 * now and then long past (an import) or in the future (a wrong clock).
 */
export function createdAt(world: World): string {
  const { random } = world;
  const kind = random.weighted({ now: 84, back: 6, past: 4, future: 3, seconds: 1, micros: 1, zone: 1 });
  const at = (ms: number) => new Date(ms).toISOString();
  switch (kind) {
    case 'back':
      return at(world.now - random.below(3_600_000));
    case 'past':
      return at(world.now - random.below(1e11));
    case 'future':
      return at(world.now + 1e9 + random.below(1e11));
    case 'seconds':
      return at(world.now - 1000).replace(/\.\d+Z$/, 'Z');
    case 'micros':
      return at(world.now).replace('Z', '123Z');
    case 'zone':
      return at(world.now + 2 * 3_600_000).replace('Z', '+02:00');
    default:
      return at(world.now);
  }
}

export function strongRef(held: Held): { uri: string; cid: string } {
  return { uri: held.uri, cid: held.cid };
}

/** A reference to something that never was. */
export function danglingRef(world: World, collection: string): { uri: string; cid: string } {
  const image = blob(`nothing ${world.random.next()}`, 'image/png') as { ref: { $link: string } };
  const rkey = `3zz${world.random
    .below(1e9)
    .toString(36)
    .replace(/[0189]/g, 'a')
    .padStart(10, 'b')}`;
  return { uri: `at://${world.random.pick(world.dids)}/${collection}/${rkey}`, cid: image.ref.$link };
}

export function image(world: World): Json {
  return blob(`image ${world.random.below(50)}`, world.random.pick(['image/jpeg', 'image/png']));
}

/** Facets over a text: mentions (of oneself too), links, tags, and a kind that nobody knows. */
export function facets(world: World): Json[] {
  return Array.from({ length: 1 + world.random.below(3) }, () => ({
    index: { byteStart: 0, byteEnd: 5 },
    features: Array.from({ length: 1 + world.random.below(2) }, () => feature(world)),
  }));
}

function feature(world: World): Json {
  const $type = `app.bsky.richtext.facet#${world.random.weighted({ mention: 6, link: 2, tag: 1 })}`;
  if (world.random.chance(0.05)) return { $type: 'org.example.facet#unknown', value: 1 };
  if ($type.endsWith('mention')) return { $type, did: world.random.pick(world.dids) };
  if ($type.endsWith('link')) return { $type, uri: 'https://example.org/page' };
  return { $type, tag: world.random.pick(WORDS) };
}
