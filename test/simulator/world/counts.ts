import type { TrueRecord } from './truth.ts';

type Counts = Map<string, number>;

/** How often a subject is liked and so on; an account counts once for a subject. */
export interface TrueCounts {
  likes: Counts;
  reposts: Counts;
  /** By the parent's URI. */
  replies: Counts;
  followers: Counts;
  follows: Counts;
  posts: Counts;
  /**
   * URIs and DIDs whose counts depend on the order in which things arrived, or
   * on rows of accounts that may be there or not: nobody can say what is right.
   */
  undecided: Set<string>;
}

type Kind = 'likes' | 'reposts' | 'follows';
const REACTIONS: Record<string, Kind> = {
  'app.bsky.feed.like': 'likes',
  'app.bsky.feed.repost': 'reposts',
  'app.bsky.graph.follow': 'follows',
};

/** Counts records; those of one account have to come together. */
export class Counter {
  readonly #counts: TrueCounts = {
    likes: new Map(),
    reposts: new Map(),
    replies: new Map(),
    followers: new Map(),
    follows: new Map(),
    posts: new Map(),
    undecided: new Set(),
  };
  #did = '';
  #seen = new Set<string>();
  /** Posts that have or had a thread gate: which replies it refused depends on when they came. */
  #gated = new Set<string>();
  #replies: { root: string; parent: string }[] = [];

  get result(): TrueCounts {
    for (const { root, parent } of this.#replies) {
      if (this.#gated.has(root)) this.#counts.undecided.add(parent);
    }
    return this.#counts;
  }

  add(record: TrueRecord): void {
    const { uri, did, json } = record;
    if (did !== this.#did) {
      this.#did = did;
      this.#seen.clear();
    }
    const collection = uri.split('/')[3]!;
    const reaction = REACTIONS[collection];
    if (reaction) this.#react(reaction, did, subjectOf(json));
    else if (collection === 'app.bsky.feed.threadgate') this.gate(json['post'] as string);
    else if (collection === 'app.bsky.feed.post') this.#post(did, json);
  }

  gate(post: string): void {
    this.#gated.add(post);
  }

  /** Takes note of a row that may be there or not. */
  doubt({ uri, did, json }: TrueRecord): void {
    const { undecided } = this.#counts;
    const collection = uri.split('/')[3]!;
    if (REACTIONS[collection]) undecided.add(subjectOf(json));
    if (collection === 'app.bsky.feed.threadgate') this.gate(json['post'] as string);
    const reply = replyOf(json);
    if (reply) undecided.add(reply.parent.uri);
    undecided.add(did);
  }

  doubtAccount(did: string): void {
    this.#counts.undecided.add(did);
  }

  #react(kind: Kind, did: string, subject: string): void {
    const key = `${kind} ${subject}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    bump(this.#counts[kind], kind === 'follows' ? did : subject);
    if (kind === 'follows') bump(this.#counts.followers, subject);
  }

  #post(did: string, json: TrueRecord['json']): void {
    bump(this.#counts.posts, did);
    const reply = replyOf(json);
    if (!reply) return;
    bump(this.#counts.replies, reply.parent.uri);
    this.#replies.push({ root: reply.root.uri, parent: reply.parent.uri });
  }
}

function replyOf(json: TrueRecord['json']): { root: { uri: string }; parent: { uri: string } } | undefined {
  return json['reply'] as ReturnType<typeof replyOf>;
}

function subjectOf(json: TrueRecord['json']): string {
  const subject = json['subject'] as string | { uri: string };
  return typeof subject === 'string' ? subject : subject.uri;
}

function bump(map: Counts, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1);
}
