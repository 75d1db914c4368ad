/** Gives every post that a batch concerns its flags, and the posts whose flags follow from those. */
import type { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import { together } from '../together.ts';
import {
  childrenSince,
  pairsOfEnded,
  quotesSince,
  rememberDependence,
  repliesJudgedBy,
  repliesSince,
  repliesTo,
  rootsWithMentionRule,
} from './affected.ts';
import { differs, type Flagged, flagPosts, flagVersions, noFlags } from './flags.ts';
import { Gates } from './gates.ts';
import { Mentions } from './mentions.ts';
import { Pairs } from './pairs.ts';
import { type PastVersion, type PresentPost, Threads } from './posts.ts';
import { type Glance, glanceAtPosts } from './settled.ts';
import type { Targets } from './targets.ts';
import { authorityOf, collectionOf, gateUri, postgateNsid, postNsid, threadgateNsid } from './uris.ts';
import { isInvalidReply, judge, rulesFor, type Surroundings, type Verdict } from './verdicts.ts';

/** What was judged, for those who come after. */
export interface Judged {
  posts: Map<string, PresentPost>;
  threads: Threads;
  /** Posts that the batch does not name but whose notifications may be others now. */
  stirred: Set<string>;
  /** Posts whose flags were changed, or whose judging depends on what was not known of before. */
  changed: Set<string>;
  /** Posts that were not read, since they are as they should be, and reply in a thread of their author's. */
  opReplies: Glance['opReplies'];
}

export class Judging {
  private client: Client;
  private counts: Counts;
  private afterCommit: boolean;
  private patient: boolean;
  private threads: Threads;
  private pairs = new Pairs();
  private gates = new Gates();
  private others = new Set<string>();
  private mentioned = new Mentions();
  private judged: Judged;
  /** Posts that are as they should be, or are judged. */
  private seen = new Set<string>();

  /**
   * @param how `afterCommit`: nobody will look at these posts once more, unless something changes; `patient`: whether to
   *   wait for rows that another is writing, or to leave them for the next look
   */
  constructor(client: Client, counts: Counts, how: { afterCommit: boolean; patient: boolean }) {
    this.client = client;
    this.counts = counts;
    this.afterCommit = how.afterCommit;
    this.patient = how.patient;
    this.threads = new Threads(client);
    this.judged = {
      posts: new Map(),
      threads: this.threads,
      stirred: new Set(),
      changed: new Set(),
      opReplies: [],
    };
  }

  /**
   * @param again posts that an earlier look changed, with all that follows from them
   * @param removed what ended is removed, and nothing is under way any more
   */
  async run(targets: Targets, again: readonly string[], removed: Promise<unknown>): Promise<Judged> {
    const first = targets.news.size > 0 ? this.all : this.unsettled;
    let uris = await first.call(this, targets, again, removed);
    // Each round judges what follows from the one before; most batches need one.
    for (let round = 1; uris.length > 0; round++) uris = await this.round(uris, round === 1);
    return this.judged;
  }

  /** Everything that is concerned: of news it matters also where nothing is to be changed. */
  private async all(
    targets: Targets,
    again: readonly string[],
    removed: Promise<unknown>,
  ): Promise<string[]> {
    const [following, children, concerned] = await together(
      childrenSince(this.client, new Map(again.map((uri) => [uri, '']))),
      childrenSince(this.client, targets.posts),
      this.concerned(targets, removed),
    );
    for (const uri of [...again, ...following, ...children, ...concerned]) this.judged.stirred.add(uri);
    const gated = [...targets.threadGates.keys(), ...targets.postGates.keys()];
    return [
      ...new Set([...targets.posts.keys(), ...children, ...concerned, ...gated, ...again, ...following]),
    ];
  }

  /** Of what is concerned, that which is not as it should be: of old records, which are many, only this counts. */
  private async unsettled(
    targets: Targets,
    again: readonly string[],
    removed: Promise<unknown>,
  ): Promise<string[]> {
    const parents = [...new Set([...targets.posts.keys(), ...again])];
    const [children, concerned] = await together(
      repliesTo(this.client, parents),
      this.concerned(targets, removed),
    );
    const gated = [...targets.threadGates.keys(), ...targets.postGates.keys()];
    const others = [...again, ...children, ...concerned, ...gated];
    this.seen = new Set([...parents, ...others]);
    const { unsettled, mistaken, opReplies } = await glanceAtPosts(this.client, targets, others);
    this.judged.opReplies = opReplies;
    return [...new Set([...unsettled, ...(await this.correct(mistaken))])];
  }

  /** @returns replies to those that are corrected */
  private async correct(mistaken: Glance['mistaken']): Promise<string[]> {
    for (const { uri } of mistaken) this.judged.changed.add(uri);
    const [, children] = await together(
      this.flagPosts(mistaken.map((post) => ({ ...noFlags, ...post }))),
      childrenSince(this.client, new Map(mistaken.map(({ uri }) => [uri, '']))),
    );
    return children;
  }

  private async concerned(targets: Targets, removed: Promise<unknown>): Promise<string[]> {
    const { client } = this;
    const [late, ended] = await together(
      rootsWithMentionRule(client, [...targets.mentioning]),
      pairsOfEnded(client, targets.endedPairs),
      removed,
    );
    const threads = new Map([...targets.threadGates, ...late.map((uri) => [uri, ''] as const)]);
    const concerned = await together(
      repliesSince(client, threads),
      quotesSince(client, targets.postGates),
      repliesJudgedBy(client, [...targets.pairs, ...ended]),
    );
    return concerned.flat();
  }

  /** @returns what has to be judged (again) because of this round */
  private async round(uris: string[], isFirst: boolean): Promise<string[]> {
    // Those of later rounds reply to what was read before.
    await this.threads.load(uris, { withParents: isFirst });
    const posts = uris.flatMap((uri) => this.threads.now(uri) ?? []);
    const past = uris.flatMap((uri) => this.threads.before(uri)).filter((v) => v.kind !== 'delete');
    for (const post of posts) this.judged.posts.set(post.uri, post);
    await this.look(posts, past);
    const invalidated = this.judgePast(past);
    const { changed, invalidated: present } = this.judgePresent(posts);
    const parents = [...invalidated.map((version) => version.uri), ...present];
    const [, , children] = await together(
      flagVersions(this.client, invalidated, this.patient),
      this.flagPosts(changed),
      childrenSince(this.client, new Map(parents.map((uri) => [uri, '']))),
    );
    return children;
  }

  /** Reads all that the verdicts on these posts depend on. */
  private async look(posts: readonly PresentPost[], past: readonly PastVersion[]): Promise<void> {
    const parents = [...posts, ...past].flatMap((post) => post.parent ?? []);
    await this.threads.load(parents);
    const [, , gates] = await together(
      this.afterCommit && this.awaitParents(parents, posts),
      this.lookForOthers(parents.filter((uri) => collectionOf(uri) !== postNsid)),
      Gates.load(this.client, posts.flatMap(gatesOf)),
    );
    this.gates = gates;
    await this.lookForRules(posts);
  }

  /**
   * A parent that is invalid may be becoming valid in another transaction, which does not see the reply. So either
   * it is waited for, or it waits for us and then finds the reply among the parent's children.
   */
  private async awaitParents(parents: readonly string[], posts: readonly PresentPost[]): Promise<void> {
    const shaky = new Set(parents.filter((uri) => this.threads.now(uri)?.invalidReplyRoot));
    for (const uri of [...this.seen, ...this.judged.posts.keys()]) shaky.delete(uri);
    if (shaky.size === 0) return;
    const statement = this.patient ? awaitParents : shareParents;
    const [{ rows }] = await together(
      this.client.query<{ uri: string }>({ ...statement, values: [[...shaky]] }),
      this.threads.reload([...shaky]),
    );
    // Those that are being written are there, but not among the answers.
    for (const { uri } of rows) shaky.delete(uri);
    for (const { uri, parent } of posts) {
      if (parent !== null && shaky.has(parent) && this.threads.now(parent)) this.judged.changed.add(uri);
    }
  }

  /** Replies to what is no post: it is enough to know that it is there. */
  private async lookForOthers(uris: readonly string[]): Promise<void> {
    if (uris.length === 0) return;
    const { rows } = await this.client.query<{ uri: string }>({
      name: 'records',
      text: 'SELECT uri FROM record WHERE uri = ANY($1)',
      values: [uris],
    });
    for (const { uri } of rows) this.others.add(uri);
  }

  private async lookForRules(posts: readonly PresentPost[]): Promise<void> {
    const follows: [string, string][] = [];
    const items: [string, string][] = [];
    const roots: string[] = [];
    const depends: [of: string, replier: string, uri: string][] = [];
    for (const post of posts) {
      const rules = rulesFor(post, this.gates);
      if (!rules) continue;
      const [owner, replier] = [authorityOf(post.root!), post.creator];
      if (rules.mentioned) roots.push(post.root!);
      if (rules.follower || rules.following) {
        follows.push([owner, replier], [replier, owner]);
        depends.push([owner, replier, post.uri]);
      }
      for (const list of rules.lists) {
        items.push([list, replier]);
        depends.push([list, replier, post.uri]);
      }
    }
    const [, , mentioned, unknown] = await together(
      this.pairs.load(this.client, 'follow', follows),
      this.pairs.load(this.client, 'list_item', items),
      Mentions.load(this.client, this.threads, roots),
      rememberDependence(this.client, depends),
    );
    this.mentioned = mentioned;
    // Who changes a relation now does not find this reply yet.
    for (const uri of unknown) this.judged.changed.add(uri);
  }

  private around(post: PresentPost): Surroundings {
    const { gates, pairs } = this;
    return {
      parent: this.parentOf(post),
      gates,
      pairs,
      mentioned: this.mentioned.at(post.root, post.moment),
    };
  }

  private parentOf({ parent, moment }: { parent: string | null; moment: string }): Surroundings['parent'] {
    if (parent === null) return undefined;
    return this.threads.at(parent, moment) ?? (this.others.has(parent) ? 'other' : undefined);
  }

  /** @returns those whose flag changed, so that replies to them must be judged again */
  private judgePast(versions: readonly PastVersion[]): PastVersion[] {
    const changed = versions.filter((v) => isInvalidReply(v, this.parentOf(v)) !== v.invalidReplyRoot);
    for (const version of changed) {
      version.invalidReplyRoot = !version.invalidReplyRoot;
      this.judged.changed.add(version.uri);
    }
    return changed;
  }

  /** @returns those with any flag changed, and those of which that one is */
  private judgePresent(posts: readonly PresentPost[]): { changed: PresentPost[]; invalidated: string[] } {
    const changed: PresentPost[] = [];
    const invalidated: string[] = [];
    for (const post of posts) {
      const verdict = judge(post, this.around(post));
      if (!differs(post, verdict)) continue;
      if (post.invalidReplyRoot !== verdict.invalidReplyRoot) invalidated.push(post.uri);
      const notified = (p: Verdict) => `${p.violatesThreadGate} ${p.violatesEmbeddingRules}`;
      if (notified(post) !== notified(verdict)) this.judged.stirred.add(post.uri);
      Object.assign(post, verdict);
      changed.push(post);
      this.judged.changed.add(post.uri);
    }
    return { changed, invalidated };
  }

  private async flagPosts(posts: readonly Flagged[]): Promise<void> {
    // A reply that violates the gate is no reply to be counted.
    for (const { parent, before, now } of await flagPosts(this.client, posts, this.patient)) {
      if (parent !== null && before !== now) this.counts.add('post_agg.replyCount', parent, now ? -1 : 1);
    }
  }
}

const shares = 'SELECT uri FROM post WHERE uri = ANY($1) ORDER BY uri FOR SHARE';
const awaitParents = { name: 'parents await', text: shares };
const shareParents = { name: 'parents share', text: `${shares} SKIP LOCKED` };

function gatesOf({ uri, root, embeds }: PresentPost): string[] {
  const gates = [gateUri(uri, threadgateNsid), gateUri(uri, postgateNsid)];
  if (root !== null) gates.push(gateUri(root, threadgateNsid));
  if (embeds !== null) gates.push(gateUri(embeds, postgateNsid));
  return gates;
}
