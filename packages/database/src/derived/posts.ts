/** Posts as derivations see them: their place in a thread, present ones and deleted ones alike. */
import type { Client } from '../pool.ts';

export interface Post {
  uri: string;
  creator: string;
  root: string | null;
  parent: string | null;
  /** From when it was there, and until when if it is gone. */
  since: string;
  until: string | null;
  /** When the version that is there now was made: what it is judged by. */
  moment: string;
  /** It was edited, so `moment` is later than `since`. */
  edited: boolean;
  invalidReplyRoot: boolean;
}

/** A post that is there, with what else its flags depend on. */
export interface PresentPost extends Post {
  /** URI of the record that it embeds. */
  embeds: string | null;
  /** URI of the post that it embeds, where its row in `quote` says so or would. */
  violatesThreadGate: boolean;
  violatesEmbeddingRules: boolean;
  hasThreadGate: boolean;
  hasPostGate: boolean;
  sortAt: string;
  cid: string;
}

const presentPosts = {
  name: 'derived posts',
  text: `SELECT p.uri, p.cid, p.creator, p."replyRoot" AS root, p."replyParent" AS parent, p."sortAt" AS since,
      p."sortAt", NULL AS until, coalesce(e.at, p."sortAt") AS moment, e.at IS NOT NULL AS edited,
      coalesce(p."invalidReplyRoot", false) AS "invalidReplyRoot",
      coalesce(p."violatesThreadGate", false) AS "violatesThreadGate",
      coalesce(p."violatesEmbeddingRules", false) AS "violatesEmbeddingRules",
      coalesce(p."hasThreadGate", false) AS "hasThreadGate", coalesce(p."hasPostGate", false) AS "hasPostGate",
      r."embedUri" AS embeds
    FROM post p LEFT JOIN headwater.post_edit e ON e.uri = p.uri LEFT JOIN post_embed_record r ON r."postUri" = p.uri
    WHERE p.uri = ANY($1)`,
};

/** The posts of these URIs that are there. */
export async function loadPosts(client: Client, uris: Iterable<string>): Promise<Map<string, PresentPost>> {
  const wanted = [...new Set(uris)];
  if (wanted.length === 0) return new Map();
  const { rows } = await client.query<PresentPost>({ ...presentPosts, values: [wanted] });
  return new Map(rows.map((row) => [row.uri, row]));
}

const pastPosts = {
  name: 'derived past posts',
  text: `SELECT uri, root, parent, since, until, since AS moment, false AS edited, invalid AS "invalidReplyRoot",
      mentions FROM headwater.past_post WHERE uri = ANY($1)`,
};

export type PastPost = Post & { mentions: string[] };

/** The posts of these URIs that are gone, as far as it is known that they were. */
export async function loadPastPosts(client: Client, uris: Iterable<string>): Promise<Map<string, PastPost>> {
  const wanted = [...new Set(uris)];
  if (wanted.length === 0) return new Map();
  const { rows } = await client.query<PastPost>({ ...pastPosts, values: [wanted] });
  return new Map(rows.map((row) => [row.uri, { ...row, creator: row.uri.split('/', 3)[2]! }]));
}

/** Whether a post was there at a moment. */
export function wasThere(post: Pick<Post, 'since' | 'until'> | undefined, moment: string): boolean {
  return post !== undefined && post.since <= moment && (post.until === null || moment < post.until);
}

/**
 * Posts of threads, loaded as they are asked for and kept: parents of parents
 * mostly have been read already.
 */
export class Threads {
  private client: Client;
  private known = new Map<string, Post[]>();

  constructor(client: Client) {
    this.client = client;
  }

  /** Makes sure that these are known, if they are or were there. */
  async load(uris: Iterable<string>): Promise<void> {
    const missing = [...new Set(uris)].filter((uri) => !this.known.has(uri));
    if (missing.length === 0) return;
    const present = await loadPosts(this.client, missing);
    const past = await loadPastPosts(this.client, missing);
    for (const uri of missing) {
      this.known.set(
        uri,
        [present.get(uri), past.get(uri)].filter((post) => post !== undefined),
      );
    }
  }

  /** The post as it was at a moment, if it has been loaded and was there. */
  at(uri: string, moment: string): Post | undefined {
    return this.known.get(uri)?.find((post) => wasThere(post, moment));
  }

  /** Puts a post in the place of what was read. */
  replace(post: Post): void {
    const others = (this.known.get(post.uri) ?? []).filter(
      (p) => (p.until === null) !== (post.until === null),
    );
    this.known.set(post.uri, [...others, post]);
  }
}
