/** Who is told of a post: those it mentions, whom it quotes, and to whom it replies. */
import type { Client } from '../pool.ts';
import type { Version } from '../prepare.ts';
import { descendantsSince } from './affected.ts';
import { Gates } from './gates.ts';
import type { Judged } from './judging.ts';
import { loadMentions } from './mentions.ts';
import { hushMuted, type Notification, reconcileNotifications } from './notifications.ts';
import { loadPosts, type PresentPost, Threads } from './posts.ts';
import type { Targets } from './targets.ts';
import { authorityOf, collectionOf, gateUri, postNsid, threadgateNsid } from './uris.ts';

/** Ancestors below this height are told of a reply; the parent's is 1. */
const tellBelow = 5;

/** @returns posts of which somebody was told, or is told no more */
export async function writePostNotifications(
  client: Client,
  targets: Targets,
  judged: Judged,
  written: readonly Version[],
): Promise<string[]> {
  // Old records are no news, and what was told before they came may stay.
  if (targets.news.size === 0) return [];
  const { threads } = judged;
  const named = [...targets.posts.keys()];
  await hushMuted(
    client,
    named.flatMap((uri) => threads.spans(uri)),
  );
  const told = named.filter((uri) => targets.news.has(uri));
  const below = await descendantsSince(client, targets.posts, tellBelow - 1);
  // Of those that are gone by now nothing is to be told, also not what another transaction has just told.
  const uris = [...new Set([...told, ...judged.stirred, ...below])];
  const posts = await postsOf(client, judged, uris);
  const records = await mentionsIn(client, posts, written);
  const wanted = await new Telling(client, judged.threads, records).all(posts);
  const silent = new Set(named.filter((uri) => !targets.news.has(uri)));
  const mayTell = (uri: string) => !silent.has(uri);
  return reconcileNotifications(client, uris, wanted, mayTell, (some) => wantedNow(client, some));
}

/** What should be told of posts as all is at present. */
async function wantedNow(client: Client, uris: readonly string[]): Promise<Notification[]> {
  const posts = [...(await loadPosts(client, uris)).values()];
  const mentions = await loadMentions(client, uris);
  return new Telling(client, new Threads(client), mentions).all(posts);
}

async function postsOf(client: Client, judged: Judged, uris: readonly string[]): Promise<PresentPost[]> {
  const unread = uris.filter((uri) => !judged.posts.has(uri));
  const others = await loadPosts(client, unread);
  return uris.flatMap((uri) => judged.posts.get(uri) ?? others.get(uri) ?? []);
}

/** The DIDs that each of these posts mentions. */
async function mentionsIn(
  client: Client,
  posts: readonly PresentPost[],
  written: readonly Version[],
): Promise<Map<string, readonly string[]>> {
  const mentions = new Map<string, readonly string[]>();
  const versions = new Map(written.map((version) => [version.uri, version]));
  const unread: string[] = [];
  for (const { uri } of posts) {
    const version = versions.get(uri);
    if (version) mentions.set(uri, version.mentions);
    else unread.push(uri);
  }
  for (const [uri, dids] of await loadMentions(client, unread)) mentions.set(uri, dids);
  return mentions;
}

class Telling {
  private client: Client;
  private threads: Threads;
  private mentions: Map<string, readonly string[]>;
  private gates = new Gates();

  constructor(client: Client, threads: Threads, mentions: Map<string, readonly string[]>) {
    this.client = client;
    this.threads = threads;
    this.mentions = mentions;
  }

  async all(posts: readonly PresentPost[]): Promise<Notification[]> {
    const roots = posts.map((post) => gateUri(post.root ?? post.uri, threadgateNsid));
    this.gates = await Gates.load(this.client, roots);
    await this.loadAncestors(posts);
    return posts.flatMap((post) => this.of(post));
  }

  private async loadAncestors(posts: readonly PresentPost[]): Promise<void> {
    let level = posts.map((post) => ({ uri: post.parent, moment: post.moment }));
    for (let height = 1; height < tellBelow; height++) {
      const known = level.filter((step) => step.uri !== null) as { uri: string; moment: string }[];
      if (known.length === 0) return;
      await this.threads.load(known.map((step) => step.uri));
      level = known.map(({ uri, moment }) => ({
        uri: this.threads.at(uri, moment)?.parent ?? null,
        moment,
      }));
    }
  }

  private of(post: PresentPost): Notification[] {
    const told = new Set([post.creator]);
    const notifications: Notification[] = [];
    const tell = (did: string, reason: string, reasonSubject: string | null) => {
      if (told.has(did)) return;
      told.add(did);
      const { uri: recordUri, cid: recordCid, creator: author, sortAt } = post;
      notifications.push({ did, author, recordUri, recordCid, reason, reasonSubject, sortAt });
    };
    for (const did of this.mentions.get(post.uri) ?? []) tell(did, 'mention', null);
    const { embeds } = post;
    if (embeds !== null && collectionOf(embeds) === postNsid && !post.violatesEmbeddingRules) {
      tell(authorityOf(embeds), 'quote', embeds);
    }
    if (!post.violatesThreadGate) {
      for (const ancestor of this.ancestorsOf(post)) tell(authorityOf(ancestor), 'reply', ancestor);
    }
    return notifications;
  }

  /** Those above a reply that was hidden when the post was made are left in peace. */
  private *ancestorsOf({ uri, root, parent, moment }: PresentPost): Generator<string> {
    const gate = this.gates.at(gateUri(root ?? uri, threadgateNsid), moment);
    const hidden: string[] = gate?.hiddenReplies ?? [];
    let next = parent;
    for (let height = 1; height < tellBelow && next !== null; height++) {
      const ancestor = this.threads.at(next, moment);
      if (!ancestor) return;
      yield ancestor.uri;
      if (hidden.includes(ancestor.uri)) return;
      next = ancestor.parent;
    }
  }
}
