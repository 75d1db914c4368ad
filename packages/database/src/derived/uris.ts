import { authorityOf, collectionOf, rkeyOf } from '../collections/collection.ts';

export { authorityOf, collectionOf };

export const postNsid = 'app.bsky.feed.post';
export const threadgateNsid = 'app.bsky.feed.threadgate';
export const postgateNsid = 'app.bsky.feed.postgate';

/** The URI of a post's gate. A URI of another collection stays as it is, as officially. */
export function gateUri(post: string, gate: typeof threadgateNsid | typeof postgateNsid): string {
  return sibling(post, postNsid, gate);
}

/** The URI of the post that a gate of this URI stands for. */
export function gatedPost(gate: string): string {
  return sibling(gate, collectionOf(gate), postNsid);
}

function sibling(uri: string, from: string, to: string): string {
  return collectionOf(uri) === from ? `at://${authorityOf(uri)}/${to}/${rkeyOf(uri)}` : uri;
}
