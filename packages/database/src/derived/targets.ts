import { collections } from '../collections/index.ts';
import { cellOf } from '../packed-rows.ts';
import type { Op, Version } from '../prepare.ts';
import type { DerivationOptions } from './derivation.ts';
import { momentOfRev, momentOfRow } from './moment.ts';
import { gatedPost, postgateNsid, postNsid, threadgateNsid } from './uris.ts';

/**
 * What a batch's operations may have consequences for. A function of the
 * operations alone, whether they took effect or not: an operation that is
 * delivered again leads to the same look at the same rows.
 */
export interface Targets {
  /** Posts named, with the earliest moment at which something changed. */
  posts: Map<string, string>;
  /** Posts whose gates changed, with the earliest moment of a change. */
  threadGates: Map<string, string>;
  postGates: Map<string, string>;
  /** Follows (creator, subject) and list items (list, subject). */
  pairs: [a: string, b: string][];
  /** URIs of follows and list items that are gone: of whom, only our tables know. */
  endedPairs: string[];
  /** Reposts and quotes, each with the post that it is of. */
  reposts: Map<string, string>;
  quotes: Map<string, string>;
  /** Those of the posts that reply to something. */
  replies: Set<string>;
  /** Posts that mention somebody: where they are a thread's root, its gate may let those reply. */
  mentioning: Set<string>;
  /** URIs whose news may be told: what is not only from a whole fetch. */
  news: Set<string>;
}

export function targetsOf(ops: readonly Op[], { backfillNotifications }: DerivationOptions): Targets {
  const targets: Targets = {
    posts: new Map(),
    threadGates: new Map(),
    postGates: new Map(),
    pairs: [],
    endedPairs: [],
    reposts: new Map(),
    quotes: new Map(),
    replies: new Set(),
    mentioning: new Set(),
    news: new Set(),
  };
  for (const op of ops) {
    if (op.live || backfillNotifications) targets.news.add(op.uri);
    add(targets, op);
  }
  return targets;
}

/** What has to be looked at once more because it was changed: of what the operations named no more than this. */
export function narrowed(all: Targets, changed: readonly string[]): Targets {
  const { posts, reposts, quotes, replies, news } = all;
  const among = new Set(changed);
  const only = (named: Map<string, string>) => new Map([...named].filter(([uri]) => among.has(uri)));
  const nothing = targetsOf([], { backfillNotifications: false });
  return { ...nothing, posts: only(posts), reposts: only(reposts), quotes: only(quotes), replies, news };
}

function add(targets: Targets, op: Op): void {
  const { uri, nsid, version } = op;
  switch (nsid) {
    case postNsid:
      earliest(targets.posts, uri, momentOf(op));
      if (version) addPost(targets, version);
      return;
    case threadgateNsid:
      earliest(targets.threadGates, gatedPost(uri), momentOf(op));
      return;
    case postgateNsid:
      earliest(targets.postGates, gatedPost(uri), momentOf(op));
      return;
    case 'app.bsky.feed.repost':
      for (const row of version?.rows ?? []) {
        if (row.table === 'repost') targets.reposts.set(uri, cellOf(row, 'subject')!);
      }
      return;
    case 'app.bsky.graph.follow':
    case 'app.bsky.graph.listitem':
      if (version) targets.pairs.push(...pairOf(version));
      else targets.endedPairs.push(uri);
  }
}

function addPost(targets: Targets, { uri, mentions, rows }: Version): void {
  for (const row of rows) {
    if (row.table === 'quote') targets.quotes.set(uri, cellOf(row, 'subject')!);
    if (row.table === 'post' && cellOf(row, 'replyParent') !== null) targets.replies.add(uri);
  }
  if (mentions.length > 0) targets.mentioning.add(uri);
}

/** Not after the moment at which the operation stands. */
function momentOf({ version, rev }: Op): string {
  const row = version?.rows[0];
  return row ? momentOfRow(row) : momentOfRev(rev);
}

function earliest(moments: Map<string, string>, uri: string, moment: string): void {
  const known = moments.get(uri);
  if (known === undefined || moment < known) moments.set(uri, moment);
}

function pairOf({ nsid, rows }: Version): [string, string][] {
  const { table, columns } = collections.get(nsid)!.claim!;
  return rows
    .filter((row) => row.table === table)
    .map((row) => columns.map((column) => cellOf(row, column)!) as [string, string]);
}
