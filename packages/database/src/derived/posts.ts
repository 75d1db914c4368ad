/** Posts as derivations see them: what is there now, and every version that is known to have been there. */
import type { Client } from '../pool.ts';

/** A post at one time of its life. */
export interface PostVersion {
  uri: string;
  creator: string;
  root: string | null;
  parent: string | null;
  /** From when it stood. The next version's is its end. */
  moment: string;
  invalidReplyRoot: boolean;
}

/** A version that is no longer there, or the end of one. */
export interface PastVersion extends PostVersion {
  rev: string;
  kind: 'create' | 'update' | 'delete';
  mentions: string[];
}

/** The version that is there, with what else its flags depend on. */
export interface PresentPost extends PostVersion {
  cid: string;
  sortAt: string;
  /** When it was edited last. */
  edited: string | null;
  /** URI of the record that it embeds. */
  embeds: string | null;
  violatesThreadGate: boolean;
  violatesEmbeddingRules: boolean;
  hasThreadGate: boolean;
  hasPostGate: boolean;
}

/**
 * What was before it can't be later than it, whatever its createdAt says. Of what is gone there is a row, too, if it
 * had versions: few posts have any, and no others need to be asked for theirs.
 */
const presentPosts = (wanted: string) => `WITH wanted AS MATERIALIZED (SELECT ${wanted} AS uris)
    SELECT coalesce(p.uri, v.uri) AS uri, p.cid, p.creator, p."replyRoot" AS root, p."replyParent" AS parent, p."sortAt",
      greatest(p."sortAt", v.at) AS moment, v.edited, r."embedUri" AS embeds,
      coalesce(p."invalidReplyRoot", false) AS "invalidReplyRoot",
      coalesce(p."violatesThreadGate", false) AS "violatesThreadGate",
      coalesce(p."violatesEmbeddingRules", false) AS "violatesEmbeddingRules",
      coalesce(p."hasThreadGate", false) AS "hasThreadGate", coalesce(p."hasPostGate", false) AS "hasPostGate",
      v.uri IS NOT NULL AS "hasPast"
    FROM (SELECT * FROM post WHERE uri = ANY((SELECT uris FROM wanted)::text[])) p
    FULL JOIN (
      SELECT uri, max(at) AS at, max(at) FILTER (WHERE kind <> 'create') AS edited
      FROM headwater.post_version WHERE uri = ANY((SELECT uris FROM wanted)::text[]) GROUP BY uri
    ) v ON v.uri = p.uri
    LEFT JOIN post_embed_record r ON r."postUri" = p.uri`;
const parents = 'ARRAY(SELECT "replyParent" FROM post WHERE uri = ANY($1) AND "replyParent" IS NOT NULL)';

const alone = { name: 'derived posts', text: presentPosts('$1::text[]') };
const withParents = { name: 'derived posts and parents', text: presentPosts(`$1::text[] || ${parents}`) };

type PostRow = (PresentPost | { uri: string; cid: null }) & { hasPast: boolean };

/** The posts of these URIs that are there. */
export async function loadPosts(client: Client, uris: Iterable<string>): Promise<Map<string, PresentPost>> {
  const wanted = [...new Set(uris)];
  if (wanted.length === 0) return new Map();
  const { rows } = await client.query<PostRow>({ ...alone, values: [wanted] });
  return new Map(rows.flatMap((row) => (row.cid === null ? [] : [[row.uri, row]])));
}

const pastVersions = {
  name: 'derived past versions',
  text: `SELECT uri, rev, kind, at AS moment, root, parent, mentions, invalid AS "invalidReplyRoot"
    FROM headwater.post_version WHERE uri = ANY($1) ORDER BY uri, rev`,
};

/** Versions of these posts that are known of, in the order of their revs; an edit that is there now among them. */
async function loadVersions(client: Client, uris: readonly string[]): Promise<PastVersion[]> {
  if (uris.length === 0) return [];
  const { rows } = await client.query<PastVersion>({ ...pastVersions, values: [uris] });
  const last = new Map<string, string>();
  for (const row of rows) {
    const before = last.get(row.uri) ?? '';
    if (row.moment < before) row.moment = before;
    last.set(row.uri, row.moment);
    row.creator = row.uri.split('/', 3)[2]!;
  }
  return rows;
}

/** A version, and when it ended; null where it has not. */
export interface Span {
  version: PostVersion;
  until: string | null;
}

/** Posts of threads, loaded as they are asked for and kept: parents of parents mostly have been read already. */
export class Threads {
  private client: Client;
  private present = new Map<string, PresentPost | null>();
  private past = new Map<string, PastVersion[]>();

  constructor(client: Client) {
    this.client = client;
  }

  /**
   * Makes sure that these are known, if they are or were there.
   *
   * @param how what they reply to is read with them
   */
  async load(uris: Iterable<string>, how: { withParents: boolean } = { withParents: false }): Promise<void> {
    const missing = [...new Set(uris)].filter((uri) => !this.present.has(uri));
    if (missing.length === 0) return;
    const statement = how.withParents ? withParents : alone;
    const { rows } = await this.client.query<PostRow>({ ...statement, values: [missing] });
    const read = rows.filter(({ uri }) => !this.present.has(uri));
    for (const row of read) this.present.set(row.uri, row.cid === null ? null : row);
    for (const uri of missing) this.lack(uri);
    if (how.withParents) for (const uri of missing) this.lack(this.now(uri)?.parent);
    const past = read.filter((row) => row.hasPast).map((row) => row.uri);
    const versions = await loadVersions(this.client, past);
    for (const [uri, list] of Map.groupBy(versions, (version) => version.uri)) this.past.set(uri, list);
  }

  /** What was asked for and not found is not there. */
  private lack(uri: string | null | undefined): void {
    if (uri != null && !this.present.has(uri)) this.present.set(uri, null);
  }

  /** Reads these once more. */
  async reload(uris: readonly string[]): Promise<void> {
    for (const uri of uris) {
      this.present.delete(uri);
      this.past.delete(uri);
    }
    await this.load(uris);
  }

  /** What is there of this URI; undefined if nothing is. */
  now(uri: string): PresentPost | undefined {
    return this.present.get(uri) ?? undefined;
  }

  /** What was there of this URI, as far as it is known. */
  before(uri: string): readonly PastVersion[] {
    return this.past.get(uri) ?? [];
  }

  /** Every version that was there, as far as it is known, until the next one or its end. */
  spans(uri: string): Span[] {
    const now = this.now(uri);
    const versions = [...this.before(uri), ...(now ? [now] : [])];
    return versions.flatMap((version, i) =>
      'kind' in version && version.kind === 'delete'
        ? []
        : [{ version, until: versions[i + 1]?.moment ?? null }],
    );
  }

  /** The post as it was at a moment, if it has been loaded and was there. */
  at(uri: string, moment: string): PostVersion | undefined {
    const now = this.now(uri);
    if (now && now.moment <= moment) return now;
    const version = this.before(uri).findLast((v) => v.moment <= moment);
    return version?.kind === 'delete' ? undefined : version;
  }
}
