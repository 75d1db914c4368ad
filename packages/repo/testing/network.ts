/** Random records as the network has them, and some as it should not. */
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { sha256 } from './arbitraries.ts';
import { random } from './random.ts';

const WORDS = 'water head river flow 水 größe 🌊 "quoted" back\\slash new\nline tab\t nul\0 the of and'.split(
  ' ',
);
const TID_CHARS = '234567abcdefghijklmnopqrstuvwxyz';

/** `size` records at distinct paths, from a seed. */
export function randomRecords(seed: number, size: number): Map<string, object> {
  const { int, pick } = random(seed);
  const records = new Map<string, object>();
  const tid = () => `3${Array.from({ length: 12 }, () => TID_CHARS[int(32)]).join('')}`;
  const words = (n: number) => Array.from({ length: int(n) }, () => pick(WORDS)).join(' ');
  const cid = (codec = 0x71) => CID.createV1(codec, Digest.create(0x12, sha256(Buffer.from(tid()))));
  const time = () => new Date(1.6e12 + int(1e9) * 200).toISOString();
  const subject = () => ({ cid: cid(), uri: `at://did:plc:${tid()}/app.bsky.feed.post/${tid()}` });
  const makers: Record<string, () => object> = {
    'app.bsky.feed.post': () => ({
      $type: 'app.bsky.feed.post',
      text: words(40),
      createdAt: time(),
      langs: ['en'],
      ...(int(3) === 0 ? { reply: { root: subject(), parent: subject() } } : {}),
      ...(int(4) === 0
        ? { facets: [{ index: { byteStart: int(300), byteEnd: int(300) }, features: [{ tag: words(2) }] }] }
        : {}),
      ...(int(4) === 0
        ? {
            embed: {
              images: [
                {
                  alt: words(9),
                  image: { $type: 'blob', ref: cid(0x55), size: int(1e6), mimeType: 'image/jpeg' },
                },
              ],
            },
          }
        : {}),
    }),
    'app.bsky.feed.like': () => ({ $type: 'app.bsky.feed.like', subject: subject(), createdAt: time() }),
    'app.bsky.feed.repost': () => ({ $type: 'app.bsky.feed.repost', subject: subject(), createdAt: time() }),
    'app.bsky.graph.follow': () => ({
      $type: 'app.bsky.graph.follow',
      subject: `did:plc:${tid()}`,
      createdAt: time(),
    }),
    'com.example.odd': () => ({
      n: -int(1e9),
      big: 2 ** 53 - 1,
      no: null,
      yes: true,
      bytes: sha256(Buffer.from(tid())),
      deep: [[[[{}]]]],
      '': '',
    }),
  };
  const weights = [
    'app.bsky.feed.post',
    'app.bsky.feed.like',
    'app.bsky.feed.like',
    'app.bsky.graph.follow',
    ...Object.keys(makers),
  ];
  const rkeys = [tid, tid, tid, tid, () => `self.${int(1e9)}`, () => `a:b~_-${int(1e9)}`];
  while (records.size < size) {
    const collection = pick(weights);
    records.set(`${collection}/${pick(rkeys)()}`, makers[collection]!());
  }
  return records;
}
