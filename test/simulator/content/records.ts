import type { Json } from '../protocol/cbor.ts';
import { madeUpDid } from '../protocol/did.ts';
import { tidOf } from '../protocol/tid.ts';
import { type Catalog, POST } from './catalog.ts';
import type { Kind, Plan } from './plan.ts';
import { bare } from './post.ts';
import { numberOf, type Random } from './random.ts';
import { image, name, timeText, words } from './text.ts';

/** A record under its path, `collection/rkey`. */
export type PathJson = [path: string, json: Json];

type Maker = (at: Place) => Json | undefined;

/** Where in a repo a record is made. */
interface Place {
  catalog: Catalog;
  index: number;
  k: number;
  count: number;
  random: Random;
  createdAt: string;
  /** Subjects that the repo has of this kind already. */
  taken: Set<string>;
}

const COLLECTIONS: Record<Exclude<Kind, 'post' | 'threadgate' | 'postgate'>, [string, Maker]> = {
  like: ['app.bsky.feed.like', like],
  repost: ['app.bsky.feed.repost', like],
  follow: ['app.bsky.graph.follow', aboutSomebody],
  block: ['app.bsky.graph.block', aboutSomebody],
  verification: ['app.bsky.graph.verification', verification],
  list: ['app.bsky.graph.list', list],
  listitem: ['app.bsky.graph.listitem', listItem],
  listblock: [
    'app.bsky.graph.listblock',
    ({ catalog, index, createdAt }) => ({ subject: ownList(catalog, index, 0), createdAt }),
  ],
  generator: ['app.bsky.feed.generator', generator],
  starterpack: ['app.bsky.graph.starterpack', starterPack],
  foreign: ['org.example.note', ({ random, createdAt }) => ({ text: words(random, 20), createdAt })],
};

/** Every record that a repo held when the network began, in no order. */
export function* baseRecords(catalog: Catalog, index: number): Generator<PathJson> {
  const plan = catalog.plan(index);
  const random = catalog.random(4, index);
  if (plan.profile) yield ['app.bsky.actor.profile/self', profile(catalog, index, random)];
  if (plan.declaration) yield declaration(random);
  yield* posts(catalog, index, plan);
  for (const kind of Object.keys(COLLECTIONS) as (keyof typeof COLLECTIONS)[]) {
    yield* ofKind(catalog, index, kind, plan[kind]);
  }
}

function* posts(catalog: Catalog, index: number, plan: Plan): Generator<PathJson> {
  for (let k = 0; k < plan.post; k++) {
    const rkey = catalog.postKey(index, k);
    yield [`${POST}/${rkey}`, catalog.postJson(index, k)];
    const uri = `at://${catalog.did(index)}/${POST}/${rkey}`;
    // Spread over the posts, as many as planned.
    if (isOneOf(plan.threadgate, k, plan.post)) yield gate(catalog, index, k, uri, 'threadgate');
    if (isOneOf(plan.postgate, k, plan.post)) yield gate(catalog, index, k, uri, 'postgate');
  }
}

function isOneOf(wanted: number, k: number, count: number): boolean {
  return Math.floor(((k + 1) * wanted) / count) > Math.floor((k * wanted) / count);
}

function gate(
  catalog: Catalog,
  index: number,
  k: number,
  uri: string,
  kind: 'threadgate' | 'postgate',
): PathJson {
  const $type = `app.bsky.feed.${kind}`;
  const random = catalog.random(5, index, k);
  const createdAt = new Date(catalog.micros(index, 'post', k, catalog.plan(index).post) / 1000).toISOString();
  const rule = `${$type}#${kind === 'threadgate' ? random.pick(['mentionRule', 'followingRule']) : 'disableRule'}`;
  const rules = random.chance(0.7) ? [{ $type: rule }] : [];
  const name = kind === 'threadgate' ? 'allow' : 'embeddingRules';
  return [`${$type}/${uri.slice(-13)}`, { $type, post: uri, createdAt, [name]: rules }];
}

function* ofKind(
  catalog: Catalog,
  index: number,
  kind: keyof typeof COLLECTIONS,
  count: number,
): Generator<PathJson> {
  const [collection, make] = COLLECTIONS[kind];
  const random = catalog.random(6, index, numberOf(kind));
  const taken = new Set<string>();
  for (let k = 0; k < count; k++) {
    const micros = catalog.micros(index, kind, k, count);
    const createdAt = timeText(random, micros / 1000);
    const json = make({ catalog, index, k, count, random, createdAt, taken });
    if (json) yield [`${collection}/${rkeyOf(kind, k, micros, index)}`, { $type: collection, ...json }];
  }
}

function rkeyOf(kind: Kind, k: number, micros: number, index: number): string {
  if (kind === 'list') return `list-${k}`;
  return kind === 'generator' ? `feed-${k}` : tidOf(micros, index & 1023);
}

/** True unless the repo has the subject already; one time of a hundred it is taken twice. */
function isNew({ taken, random }: Place, subject: string): boolean {
  if (taken.has(subject)) return random.chance(0.01);
  taken.add(subject);
  return true;
}

function isSized({ catalog, index }: Place): boolean {
  return catalog.options.sizes?.[index] !== undefined;
}

function like(place: Place): Json | undefined {
  const { catalog, random, createdAt } = place;
  if (random.chance(0.005)) return { subject: catalog.nowhere(random), createdAt };
  for (let tries = 0; tries < 4; tries++) {
    const subject = catalog.postBefore(random, (place.k + 1) / place.count);
    if (subject && isNew(place, subject.uri)) return { subject: bare(subject), createdAt };
  }
  // A repo may be told to be larger than there is to like: it goes on with posts that are gone.
  return isSized(place) ? { subject: catalog.nowhere(random), createdAt } : undefined;
}

function aboutSomebody(place: Place): Json | undefined {
  const { catalog, random, createdAt, index } = place;
  for (let tries = 0; tries < 4; tries++) {
    const other = random.popular(catalog.repos);
    const subject = catalog.did(other);
    if (other !== index && isNew(place, subject)) return { subject, createdAt };
  }
  return isSized(place) ? { subject: madeUpDid(`${index} ${random.bits()}`), createdAt } : undefined;
}

function verification(place: Place): Json | undefined {
  const about = aboutSomebody(place);
  return about && { ...about, handle: 'somebody.test', displayName: words(place.random, 2) };
}

function list({ random, createdAt }: Place): Json {
  const purpose = `app.bsky.graph.defs#${random.pick(['modlist', 'curatelist', 'referencelist'])}`;
  return {
    name: words(random, 2),
    purpose,
    createdAt,
    ...(random.chance(0.5) && { description: words(random, 9) }),
  };
}

function ownList(catalog: Catalog, index: number, k: number): string {
  return `at://${catalog.did(index)}/app.bsky.graph.list/list-${k}`;
}

function listItem(place: Place): Json | undefined {
  const { catalog, index, random, createdAt } = place;
  const uri = ownList(catalog, index, random.below(Math.max(1, catalog.plan(index).list)));
  const subject = catalog.did(random.popular(catalog.repos));
  return isNew(place, `${uri} ${subject}`) ? { list: uri, subject, createdAt } : undefined;
}

function generator({ catalog, index, random, createdAt }: Place): Json {
  const displayName = name(random, 2, 24);
  return { did: catalog.did(index), displayName, description: words(random, 8), createdAt };
}

function starterPack({ catalog, index, random, createdAt }: Place): Json {
  return { name: name(random, 3, 50), list: ownList(catalog, index, 0), createdAt };
}

export function profile(catalog: Catalog, index: number, random: Random): Json {
  return {
    $type: 'app.bsky.actor.profile',
    displayName: words(random, 2),
    ...(random.chance(0.8) && { description: words(random, 14) }),
    ...(random.chance(0.8) && { avatar: image(random) }),
    ...(random.chance(0.5) && { banner: image(random) }),
    ...(catalog.plan(index).post > 0 && random.chance(0.1) && { pinnedPost: bare(catalog.post(index, 0)) }),
  };
}

function declaration(random: Random): PathJson {
  const $type = random.pick(['chat.bsky.actor.declaration', 'app.bsky.notification.declaration']);
  const value = $type.startsWith('chat')
    ? { allowIncoming: 'following' }
    : { allowSubscriptions: 'followers' };
  return [`${$type}/self`, { $type, ...value }];
}
