/** What a post is by the posts and gates around it. Pure. */
import { forbidsEmbedding, type Gates, type ReplyRules, replyRules } from './gates.ts';
import type { Pairs } from './pairs.ts';
import type { PostVersion, PresentPost } from './posts.ts';
import { authorityOf, collectionOf, gateUri, postgateNsid, postNsid, threadgateNsid } from './uris.ts';

export interface Verdict {
  invalidReplyRoot: boolean;
  violatesThreadGate: boolean;
  violatesEmbeddingRules: boolean;
  hasThreadGate: boolean;
  hasPostGate: boolean;
}

/** What was around a post when its present version was made. */
export interface Surroundings {
  /** The parent, if it was there; 'other' for a record that is no post. */
  parent: Pick<PostVersion, 'root' | 'invalidReplyRoot'> | 'other' | undefined;
  gates: Gates;
  pairs: Pairs;
  /** DIDs mentioned by the thread's first post, if it was there. */
  mentioned: readonly string[];
}

export function judge(post: PresentPost, around: Surroundings): Verdict {
  const { uri, moment } = post;
  const { gates } = around;
  return {
    invalidReplyRoot: isInvalidReply(post, around.parent),
    violatesThreadGate: violatesThreadGate(post, around),
    violatesEmbeddingRules: violatesEmbeddingRules(post, gates),
    hasThreadGate: gates.isOn(gateUri(uri, threadgateNsid), uri, moment),
    hasPostGate: gates.isOn(gateUri(uri, postgateNsid), uri, moment),
  };
}

/** A reply whose parent is missing, invalid itself, or of another thread. */
export function isInvalidReply(
  post: Pick<PostVersion, 'root' | 'parent'>,
  parent: Surroundings['parent'],
): boolean {
  if (post.parent === null) return false;
  if (parent === undefined) return true;
  const [root, invalid] = parent === 'other' ? [null, false] : [parent.root, parent.invalidReplyRoot];
  if (invalid) return true;
  if (post.parent === post.root) return root !== null;
  return root !== post.root;
}

/** The rules that a reply was under; null where it could be made by anybody. */
export function rulesFor(post: PostVersion, gates: Gates): ReplyRules | null {
  if (post.root === null || authorityOf(post.root) === post.creator) return null;
  return replyRules(gates.at(gateUri(post.root, threadgateNsid), post.moment));
}

function violatesThreadGate(post: PresentPost, { gates, pairs, mentioned }: Surroundings): boolean {
  const rules = rulesFor(post, gates);
  if (!rules) return false;
  const { creator, moment } = post;
  const owner = authorityOf(post.root!);
  if (rules.mentioned && mentioned.includes(creator)) return false;
  if (rules.following && pairs.stood(owner, creator, moment)) return false;
  if (rules.follower && pairs.stood(creator, owner, moment)) return false;
  return !rules.lists.some((list) => pairs.stood(list, creator, moment));
}

function violatesEmbeddingRules({ embeds, creator, moment }: PresentPost, gates: Gates): boolean {
  if (embeds === null || collectionOf(embeds) !== postNsid || authorityOf(embeds) === creator) return false;
  return forbidsEmbedding(gates.at(gateUri(embeds, postgateNsid), moment));
}
