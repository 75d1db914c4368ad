import type { Json } from '../protocol/cbor.ts';
import type { PostRef, Ref } from './catalog.ts';
import type { Plan } from './plan.ts';
import type { Random } from './random.ts';
import { blob, image, lang, link, richText, timeText, words } from './text.ts';

/** What a post needs to know of the network around it. */
export interface PostContext {
  readonly repos: number;
  did(index: number): string;
  plan(index: number): Plan;
  random(...names: number[]): Random;
  micros(index: number, kind: 'post', k: number, count: number): number;
  postBefore(random: Random, share: number): PostRef | undefined;
  nowhere(random: Random): Ref;
}

/** The k-th post of a repo: a third are replies, some quote, many have pictures or links. */
export function postJson(context: PostContext, index: number, k: number): Json {
  const random = context.random(3, index, k);
  const count = context.plan(index).post;
  const share = k / count;
  const parent = random.chance(0.35) ? context.postBefore(random, share) : undefined;
  const quoted = random.chance(0.06) ? context.postBefore(random, share) : undefined;
  const mentioned = context.did(random.popular(context.repos));
  return makePost(random, context.micros(index, 'post', k, count) / 1000, { parent, quoted, mentioned });
}

/** A post that answers and quotes what it is given. */
export function makePost(
  random: Random,
  ms: number,
  {
    parent,
    quoted,
    mentioned,
  }: { parent?: PostRef | undefined; quoted?: Ref | undefined; mentioned: string },
): Json {
  const length = 3 + random.below(parent ? 15 : 35);
  const { text, facets } = random.chance(0.25)
    ? richText(random, length, mentioned)
    : { text: words(random, length), facets: undefined };
  const embed = embedOf(random, quoted);
  return {
    $type: 'app.bsky.feed.post',
    text,
    createdAt: timeText(random, ms),
    ...(facets && { facets }),
    ...(embed && { embed }),
    ...(parent && { reply: { root: parent.root ?? bare(parent), parent: bare(parent) } }),
    ...(random.chance(0.8) && { langs: [lang(random)] }),
    ...(random.chance(0.03) && { tags: ['water', 'über'] }),
    ...(random.chance(0.02) && { labels: selfLabels() }),
  };
}

export function bare({ uri, cid }: Ref): Ref {
  return { uri, cid };
}

function selfLabels(): Json {
  return { $type: 'com.atproto.label.defs#selfLabels', values: [{ val: 'nudity' }] };
}

function embedOf(random: Random, quoted: Ref | undefined): Json | undefined {
  if (!quoted) return random.chance(0.4) ? media(random) : undefined;
  const record = { $type: 'app.bsky.embed.record', record: bare(quoted) };
  if (random.chance(0.8)) return record;
  return { $type: 'app.bsky.embed.recordWithMedia', record: { record: bare(quoted) }, media: media(random) };
}

function media(random: Random): Json {
  const kind = random.weighted({ images: 6, external: 4, video: 1 });
  const $type = `app.bsky.embed.${kind}`;
  if (kind === 'images') {
    const picture = () => ({
      alt: random.chance(0.5) ? words(random, 4) : '',
      image: image(random),
      aspectRatio: { width: 1 + random.below(2000), height: 1 + random.below(2000) },
    });
    return { $type, images: Array.from({ length: 1 + random.below(4) }, picture) };
  }
  if (kind === 'video')
    return { $type, video: blob(random, 'video/mp4'), aspectRatio: { width: 16, height: 9 } };
  const thumb = random.chance(0.7) && { thumb: image(random) };
  const external = { uri: link(random), title: words(random, 6), description: words(random, 12), ...thumb };
  return { $type, external };
}
