/**
 * The three differences from the official indexer that are meant (docs/appview.md
 * says why), each told by a rule on the history, so that nothing else hides
 * behind them.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Difference } from './diff.ts';
import { type Operation, uriOf } from './operation.ts';

/** Which of the meant differences this is; undefined for one that must not be. */
export type Explain = (difference: Difference) => string | undefined;

const COLUMNS: Record<string, (record: Record<string, unknown>) => unknown> = {
  'app.bsky.feed.like': (r) => (r['subject'] as { uri: string }).uri,
  'app.bsky.feed.repost': (r) => (r['subject'] as { uri: string }).uri,
  'app.bsky.graph.follow': (r) => r['subject'],
  'app.bsky.graph.verification': (r) => r['subject'],
};

/** @param departed accounts that were deleted, whose posts are deleted in the history too */
export function explainBy(history: readonly Operation[], departed: readonly string[]): Explain {
  const gone = new Set<string>();
  const ended = new Set<string>();
  const claims = new Map<string, string>();
  for (const op of history) {
    const uri = uriOf(op);
    if (op.action === 'delete') gone.add(uri);
    else gone.delete(uri);
    if (op.action !== 'create') ended.add(uri);
    const subject = op.record?.['subject'] && COLUMNS[op.collection]?.(op.record);
    if (typeof subject === 'string') claims.set(uri, `${op.collection} ${op.did} ${subject}`);
  }
  const groups = Map.groupBy(claims.keys(), (uri) => claims.get(uri)!);
  return (difference) => {
    if (isPromoted(difference, gone, (uri) => groups.get(claims.get(uri) ?? '') ?? []))
      return 'promoted duplicate';
    if (isForgotten(difference, departed)) return 'reply to a deleted account';
    if (isQuoteCount(difference) && ended.has(difference.key)) return 'quotes of an edited or deleted post';
    return undefined;
  };
}

/**
 * The first of two likes of one post was deleted. Officially its notification
 * stays and points at nothing; ours is of the like that is there.
 */
function isPromoted(
  { table, expected, actual }: Difference,
  gone: ReadonlySet<string>,
  rivalsOf: (uri: string) => readonly string[],
): boolean {
  if (table !== 'notification' || (expected && actual)) return false;
  const { recordUri: uri, reason } = (expected ?? actual) as { recordUri: string; reason: string };
  const rivals = rivalsOf(uri);
  // A deleted verification may have been a second one of the same account: heard of late, that can't be told.
  if (reason === 'verified' || reason === 'unverified') return rivals.length > 1;
  if (expected) return gone.has(uri) && rivals.some((other) => !gone.has(other));
  return !gone.has(uri) && rivals.some((other) => gone.has(other));
}

/** Nothing is kept of what a deleted account wrote: whether the root of a reply to it was right can't be told any more. */
function isForgotten({ table, expected, actual }: Difference, departed: readonly string[]): boolean {
  if (table !== 'post' || !expected || !actual) return false;
  const { invalidReplyRoot: was, ...rest } = expected;
  const { invalidReplyRoot: is, ...others } = actual;
  const parent = String(expected['replyParent']).split('/')[2]!;
  return was === false && is === true && departed.includes(parent) && isDeepStrictEqual(rest, others);
}

/**
 * Officially a post that was edited or deleted loses its rows in `quote` but
 * keeps the count of them until somebody quotes it again.
 */
function isQuoteCount({ table, expected, actual }: Difference): boolean {
  if (table !== 'post_agg') return false;
  const rest = (row: Record<string, unknown> | undefined) => {
    const {
      quoteCount: _,
      uri: __,
      ...counts
    } = row ?? { likeCount: 0, replyCount: 0, repostCount: 0, bookmarkCount: 0 };
    return JSON.stringify(Object.entries(counts).sort());
  };
  return rest(expected) === rest(actual);
}
