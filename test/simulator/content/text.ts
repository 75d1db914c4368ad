import type { Json } from '../protocol/cbor.ts';
import { cidText, rawCidOf } from '../protocol/cid.ts';
import type { Random } from './random.ts';

const WORDS = (
  'the of and to a in is it you that he was for on are with as his they be at one have this from or had by not ' +
  'but what some we can out other were all there when up use your how said an each she which do their time if ' +
  'will way about many then them would write like so these her long make thing see him two has look more day ' +
  'could go come did my sound no most number who over know water than call first people may down side been now ' +
  'find any new work part take get place made live where after back little only round man year came show every ' +
  'good me give our under name very through just form much great think say help low line before turn cause same'
).split(' ');
const OTHERS = [
  'größe',
  'être',
  'çok',
  'вода',
  'море',
  '水源',
  '川の',
  '上流',
  '강물',
  'मेरा',
  'ماء',
  '🌊',
  '💧',
  '👩‍👩‍👧',
  '✨',
  'e\u0301te',
];
const LANGS = ['en', 'en', 'en', 'ja', 'de', 'pt', 'fr', 'es', 'ko'];
const HOSTS = ['example.org', 'news.example.com', 'blog.example.net', 'video.example.io'];

/** Some words, a few of them of other scripts. */
export function words(random: Random, count: number): string {
  let text = '';
  for (let i = 0; i < count; i++) {
    const n = random.bits();
    if (i > 0) text += n & 0x1f000000 ? ' ' : '. ';
    text += (n & 0xf00) === 0 ? OTHERS[n % OTHERS.length] : WORDS[n % WORDS.length];
  }
  return text;
}

/** A name of at most `most` graphemes, which the lexicons count. */
export function name(random: Random, count: number, most: number): string {
  return [...words(random, count)].slice(0, most).join('');
}

export function lang(random: Random): string {
  return random.pick(LANGS);
}

export function link(random: Random): string {
  return `https://${random.pick(HOSTS)}/${random.pick(WORDS)}/${random.below(1e6).toString(36)}`;
}

/** A text with facets at the bytes that they are about. */
export function richText(random: Random, count: number, did: string): { text: string; facets: Json[] } {
  let text = words(random, count);
  const facets: Json[] = [];
  for (let i = 0; i < 1 + random.below(2); i++) {
    const feature = facet(random, did);
    text += ' ';
    const byteStart = Buffer.byteLength(text);
    text += feature.shown;
    facets.push({ index: { byteStart, byteEnd: Buffer.byteLength(text) }, features: [feature.json] });
  }
  return { text, facets };
}

function facet(random: Random, did: string): { shown: string; json: Json } {
  const kind = random.weighted({ link: 5, mention: 3, tag: 2 });
  const $type = `app.bsky.richtext.facet#${kind}`;
  if (kind === 'mention') return { shown: `@${did.slice(8, 14)}.test`, json: { $type, did } };
  if (kind === 'link') {
    const uri = link(random);
    return { shown: `${uri.slice(8, 30)}…`, json: { $type, uri } };
  }
  const tag = random.pick(WORDS);
  return { shown: `#${tag}`, json: { $type, tag } };
}

/** A reference to a blob that nobody has. */
export function blob(random: Random, mimeType: string): Json {
  const content = Buffer.alloc(8);
  content.writeUInt32BE(random.bits(), 0);
  content.writeUInt32BE(random.bits(), 4);
  return {
    $type: 'blob',
    ref: { $link: cidText(rawCidOf(content)) },
    mimeType,
    size: 1000 + random.below(900_000),
  };
}

export function image(random: Random): Json {
  return blob(random, random.chance(0.8) ? 'image/jpeg' : 'image/png');
}

/** A time as the clients write it: mostly as JavaScript does. */
export function timeText(random: Random, ms: number): string {
  const iso = new Date(ms).toISOString();
  const n = random.below(100);
  if (n < 90) return iso;
  if (n < 94) return `${iso.slice(0, -1)}123Z`;
  if (n < 97) return `${iso.slice(0, 19)}Z`;
  return `${iso.slice(0, -1)}+00:00`;
}
