/** Gives every post that a batch concerns its flags, and the posts whose flags follow from those. */
import type { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import {
  childrenSince,
  pairsOfEnded,
  quotesSince,
  repliesJudgedBy,
  repliesSince,
  repliesTo,
  rootsWithMentionRule,
} from './affected.ts';
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

  /** @param again posts that an earlier look changed, with all that follows from them */
  async run(targets: Targets, again: readonly string[]): Promise<Judged> {
    let uris = targets.news.size > 0 ? await this.all(targets, again) : await this.unsettled(targets, again);
    // Each round judges what follows from the one before; most batches need one.
    while (uris.length > 0) uris = await this.round(uris);
    return this.judged;
  }

  /** Everything that is concerned: of news it matters also where nothing is to be changed. */
  private async all(targets: Targets, again: readonly string[]): Promise<string[]> {
    const following = await childrenSince(this.client, new Map(again.map((uri) => [uri, ''])));
    const children = await childrenSince(this.client, targets.posts);
    const concerned = await this.concerned(targets);
    for (const uri of [...again, ...following, ...children, ...concerned]) this.judged.stirred.add(uri);
    const gated = [...targets.threadGates.keys(), ...targets.postGates.keys()];
    return [
      ...new Set([...targets.posts.keys(), ...children, ...concerned, ...gated, ...again, ...following]),
    ];
  }

  /** Of what is concerned, that which is not as it should be: of old records, which are many, only this counts. */
  private async unsettled(targets: Targets, again: readonly string[]): Promise<string[]> {
    const parents = [...new Set([...targets.posts.keys(), ...again])];
    const children = await repliesTo(this.client, parents);
    const concerned = await this.concerned(targets);
    const gated = [...targets.threadGates.keys(), ...targets.postGates.keys()];
    const others = [...again, ...children, ...concerned, ...gated];
    this.seen = new Set([...parents, ...others]);
    const { unsettled, opReplies } = await glanceAtPosts(this.client, targets, others);
    this.judged.opReplies = opReplies;
    return unsettled;
  }

  private async concerned(targets: Targets): Promise<string[]> {
    const { client } = this;
    const late = await rootsWithMentionRule(client, [...targets.mentioning]);
    const threads = new Map([...targets.threadGates, ...late.map((uri) => [uri, ''] as const)]);
    const ended = await pairsOfEnded(client, targets.endedPairs);
    return [
      await repliesSince(client, threads),
      await quotesSince(client, targets.postGates),
      await repliesJudgedBy(client, [...targets.pairs, ...ended]),
    ].flat();
  }

  /** @returns what has to be judged (again) because of this round */
  private async round(uris: string[]): Promise<string[]> {
    await this.threads.load(uris);
    const posts = uris.flatMap((uri) => this.threads.now(uri) ?? []);
    const past = uris.flatMap((uri) => this.threads.before(uri)).filter((v) => v.kind !== 'delete');
    for (const post of posts) this.judged.posts.set(post.uri, post);
    await this.look(posts, past);
    const changed = [...(await this.judgePast(past)), ...(await this.judgePresent(posts))];
    return childrenSince(this.client, new Map(changed.map((uri) => [uri, ''])));
  }

  /** Reads all that the verdicts on these posts depend on. */
  private async look(posts: readonly PresentPost[], past: readonly PastVersion[]): Promise<void> {
    const parents = [...posts, ...past].flatMap((post) => post.parent ?? []);
    await this.threads.load(parents);
    if (this.afterCommit) await this.awaitParents(parents, posts);
    await this.lookForOthers(parents.filter((uri) => collectionOf(uri) !== postNsid));
    this.gates = await Gates.load(this.client, posts.flatMap(gatesOf));
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
    const { rows } = await this.client.query<{ uri: string }>({ ...statement, values: [[...shaky]] });
    await this.threads.reload([...shaky]);
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
    await this.pairs.load(this.client, 'follow', follows);
    await this.pairs.load(this.client, 'list_item', items);
    this.mentioned = await Mentions.load(this.client, roots);
    // Who changes a relation now does not find this reply yet.
    for (const uri of await rememberDependence(this.client, depends)) this.judged.changed.add(uri);
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
  private async judgePast(versions: readonly PastVersion[]): Promise<string[]> {
    const changed = versions.filter((v) => isInvalidReply(v, this.parentOf(v)) !== v.invalidReplyRoot);
    if (changed.length === 0) return [];
    for (const version of changed) {
      version.invalidReplyRoot = !version.invalidReplyRoot;
      this.judged.changed.add(version.uri);
    }
    await this.client.query({
      ...(this.patient ? flagVersionsPatiently : flagVersions),
      values: [changed.map((v) => v.uri), changed.map((v) => v.rev), changed.map((v) => v.invalidReplyRoot)],
    });
    return changed.map((version) => version.uri);
  }

  /** @returns as judgePast */
  private async judgePresent(posts: readonly PresentPost[]): Promise<string[]> {
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
    await this.writeFlags(changed);
    return invalidated;
  }

  private async writeFlags(posts: readonly PresentPost[]): Promise<void> {
    if (posts.length === 0) return;
    const { rows } = await this.client.query<{ parent: string | null; before: boolean; now: boolean }>({
      ...(this.patient ? putFlagsPatiently : putFlags),
      values: [posts.map((p) => p.uri), ...flags.map((flag) => posts.map((p) => p[flag]))],
    });
    // A reply that violates the gate is no reply to be counted.
    for (const { parent, before, now } of rows) {
      if (parent !== null && before !== now) this.counts.add('post_agg.replyCount', parent, now ? -1 : 1);
    }
  }
}

const shares = 'SELECT uri FROM post WHERE uri = ANY($1) ORDER BY uri FOR SHARE';
const awaitParents = { name: 'parents await', text: shares };
const shareParents = { name: 'parents share', text: `${shares} SKIP LOCKED` };

const versionFlags = (lock: string) => `WITH free AS (
    SELECT v.uri, v.rev, k.invalid FROM unnest($1::text[], $2::text[], $3::bool[]) AS k(uri, rev, invalid)
    JOIN headwater.post_version v ON v.uri = k.uri AND v.rev = k.rev ORDER BY v.uri, v.rev ${lock}
  )
  UPDATE headwater.post_version v SET invalid = free.invalid FROM free WHERE v.uri = free.uri AND v.rev = free.rev`;
const flagVersions = { name: 'post version flag', text: versionFlags('FOR NO KEY UPDATE OF v SKIP LOCKED') };
const flagVersionsPatiently = {
  name: 'post version flag, waiting',
  text: versionFlags('FOR NO KEY UPDATE OF v'),
};

const flags = [
  'invalidReplyRoot',
  'violatesThreadGate',
  'violatesEmbeddingRules',
  'hasThreadGate',
  'hasPostGate',
] as const;

function differs(post: PresentPost, verdict: Verdict): boolean {
  return flags.some((flag) => post[flag] !== verdict[flag]);
}

// The row's lock is taken first, in the order of URIs: what was there before is then what is counted.
// A flag that is not set is NULL, as in a post that was never judged: the row must not tell how it came to be so.
const flagging = (lock: string) => `WITH before AS (
      SELECT uri, coalesce("violatesThreadGate", false) AS violates FROM post WHERE uri = ANY($1)
      ORDER BY uri ${lock}
    ), verdict AS (
      SELECT * FROM unnest($1::text[], $2::bool[], $3::bool[], $4::bool[], $5::bool[], $6::bool[])
        AS v(uri, ${flags.map((flag) => `"${flag}"`).join(', ')})
    )
    UPDATE post p SET ${flags.map((flag) => `"${flag}" = nullif(v."${flag}", false)`).join(', ')}
    FROM verdict v JOIN before b ON b.uri = v.uri WHERE p.uri = v.uri
    RETURNING p."replyParent" AS parent, b.violates AS before, coalesce(p."violatesThreadGate", false) AS now`;

// What is skipped was judged otherwise than it is, and so is looked at again.
const putFlags = { name: 'post flags put', text: flagging('FOR NO KEY UPDATE SKIP LOCKED') };
const putFlagsPatiently = { name: 'post flags put, waiting', text: flagging('FOR NO KEY UPDATE') };

function gatesOf({ uri, root, embeds }: PresentPost): string[] {
  const gates = [gateUri(uri, threadgateNsid), gateUri(uri, postgateNsid)];
  if (root !== null) gates.push(gateUri(root, threadgateNsid));
  if (embeds !== null) gates.push(gateUri(embeds, postgateNsid));
  return gates;
}

/** @returns replies of which this was not known */
async function rememberDependence(
  client: Client,
  depends: readonly (readonly string[])[],
): Promise<string[]> {
  if (depends.length === 0) return [];
  const { rows } = await client.query<{ uri: string }>({
    name: 'gated reply put',
    text: `INSERT INTO headwater.gated_reply (of, replier, uri)
      SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) AS u(of, replier, uri) ORDER BY of, replier, uri
      ON CONFLICT DO NOTHING RETURNING uri`,
    values: [0, 1, 2].map((i) => depends.map((row) => row[i])),
  });
  return rows.map((row) => row.uri);
}
