import { splitUri } from '../collections/collection.ts';

export const postNsid = 'app.bsky.feed.post';
export const threadgateNsid = 'app.bsky.feed.threadgate';
export const postgateNsid = 'app.bsky.feed.postgate';

/** The URI of a post's gate. A URI of another collection stays as it is, as officially. */
export function gateUri(post: string, gate: typeof threadgateNsid | typeof postgateNsid): string {
  return sibling(post, postNsid, gate);
}

/** The URI of the post that a gate of this URI stands for. */
export function gatedPost(gate: string): string {
  const { collection } = splitUri(gate);
  return sibling(gate, collection, postNsid);
}

function sibling(uri: string, from: string, to: string): string {
  const { authority, collection, rkey } = splitUri(uri);
  return collection === from ? `at://${authority}/${to}/${rkey}` : uri;
}

/** Who owns a record; what stands before the first slash of its URI. */
export function authorityOf(uri: string): string {
  return splitUri(uri).authority;
}

export function collectionOf(uri: string): string {
  return splitUri(uri).collection;
}
