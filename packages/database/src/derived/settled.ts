/**
 * Which posts are as they should be, at a glance: neither they nor their parents were ever edited or deleted, no gate
 * concerns them, and what is said of their parent is right. Of a whole fetch that are almost all, and one statement that
 * names the others costs a fraction of reading and judging each. What it leaves out judging.ts would leave as it is.
 *
 * Most of the others reply to what has not come yet, or has just come: all that is wrong is what is said of their
 * parent, and the glance says what judging would.
 */
import type { Client } from '../pool.ts';
import type { Targets } from './targets.ts';
import { authorityOf } from './uris.ts';

export interface Glance {
  /** Posts to be judged, and those that are gone but had versions. */
  unsettled: string[];
  /** Posts of which no more is wrong than what is said of their parent, with what is right. */
  mistaken: { uri: string; invalidReplyRoot: boolean }[];
  /** Of all but those to be judged, those that reply in a thread of their author's. */
  opReplies: { uri: string; root: string; parent: string }[];
}

const toThreadGate = (uri: string) => `replace(${uri}, '/app.bsky.feed.post/', '/app.bsky.feed.threadgate/')`;
const toPostGate = (uri: string) => `replace(${uri}, '/app.bsky.feed.post/', '/app.bsky.feed.postgate/')`;
const toPost = `replace(replace(uri, '/app.bsky.feed.threadgate/', '/app.bsky.feed.post/'),
    '/app.bsky.feed.postgate/', '/app.bsky.feed.post/')`;

// OFFSET, for a look-up of each, whatever the tables' sizes were when the plan was made.
const held = (table: 'gate' | 'post_version', uri: string) =>
  `EXISTS (SELECT FROM headwater.${table} t WHERE t.uri = ${uri} OFFSET 0)`;

/** As verdicts.ts has it, of a post and a parent (q) that were never changed. */
const invalid = `p."replyParent" IS NOT NULL AND (
    q.uri IS NULL OR q."sortAt" > p."sortAt" OR q."invalidReplyRoot" IS TRUE
    OR CASE WHEN p."replyParent" = p."replyRoot" THEN q."replyRoot" IS NOT NULL
       ELSE q."replyRoot" IS DISTINCT FROM p."replyRoot" END)`;

// An invalid parent may be becoming valid, unless it is looked at as well.
const doubtfulParent = `p."replyParent" NOT LIKE 'at://%/app.bsky.feed.post/%'
    OR q."invalidReplyRoot" IS TRUE AND q.uri NOT IN (SELECT unnest($1::text[]))
    OR ${held('post_version', 'p."replyParent"')}
    OR split_part(p."replyRoot", '/', 3) <> p.creator AND ${held('gate', toThreadGate('p."replyRoot"'))}`;

const glance = {
  name: 'posts at a glance',
  // URIs of one repo are neighbours in every index: looked up as a list, each costs little more than a comparison.
  text: `WITH changed AS MATERIALIZED (
      SELECT DISTINCT uri COLLATE "default" AS uri FROM headwater.post_version WHERE uri = ANY($1::text[])
    ), gated AS MATERIALIZED (
      SELECT ${toPost} COLLATE "default" AS uri FROM headwater.gate WHERE uri = ANY(ARRAY(
        SELECT ${toThreadGate('u')} FROM unnest($1::text[]) AS u
        UNION ALL SELECT ${toPostGate('u')} FROM unnest($1::text[]) AS u))
      UNION ALL SELECT uri FROM unnest($3::text[], $4::text[]) AS k(uri, embeds) WHERE ${held('gate', toPostGate('embeds'))}
      UNION ALL SELECT "postUri" FROM post_embed_record
      WHERE "postUri" = ANY($2::text[]) AND ${held('gate', toPostGate('"embedUri"'))}
    ), seen AS (
      SELECT p.uri, p."replyRoot" AS root, p."replyParent" AS parent,
        split_part(p."replyRoot", '/', 3) = p.creator AND p."replyParent" IS NOT NULL AS op,
        CASE WHEN coalesce(p."invalidReplyRoot", false) = (${invalid}) THEN '='
          WHEN p."invalidReplyRoot" THEN '-' ELSE '+' END AS sign,
        coalesce(p."hasThreadGate", p."hasPostGate", p."violatesThreadGate", p."violatesEmbeddingRules") IS NOT NULL
        OR p."replyParent" IS NOT NULL AND (${doubtfulParent}) AS odd
      FROM post p LEFT JOIN LATERAL (SELECT * FROM post WHERE uri = p."replyParent" OFFSET 0) q ON true
      WHERE p.uri = ANY($2::text[]) AND p.uri NOT IN (SELECT uri FROM changed) AND p.uri NOT IN (SELECT uri FROM gated)
    )
    SELECT string_agg(uri || CASE WHEN odd THEN '' ELSE coalesce(' ' || root || ' ' || parent || ' ' || sign, '') END,
      chr(10)) AS lines FROM (
      SELECT * FROM seen WHERE odd OR op OR sign <> '='
      UNION ALL SELECT uri, NULL, NULL, false, NULL, true FROM (SELECT uri FROM changed UNION SELECT uri FROM gated) c
    ) s`,
};

/**
 * Looks at posts, as far as they are or were there.
 *
 * @param named posts of which all versions that came are known: those that are no `replies`, and quote nothing, are
 *   what they should be if they were never changed and have no gate
 * @param others posts of which only the tables know
 */
export async function glanceAtPosts(
  client: Client,
  { posts, replies, quotes }: Pick<Targets, 'posts' | 'replies' | 'quotes'>,
  others: Iterable<string>,
): Promise<Glance> {
  const all = new Set(posts.keys());
  const read = [...all].filter((uri) => replies.has(uri));
  for (const uri of others) {
    if (all.has(uri)) continue;
    all.add(uri);
    read.push(uri);
  }
  const found: Glance = { unsettled: [], mistaken: [], opReplies: [] };
  if (all.size === 0) return found;
  const values = [[...all], read, [...quotes.keys()], [...quotes.values()]];
  const { rows } = await client.query<{ lines: string | null }>({ ...glance, values });
  for (const line of rows[0]!.lines?.split('\n') ?? []) add(found, line);
  return found;
}

/** A URI, and unless it is to be judged: root, parent, and whether more ('+') or less ('-') is to be said of it. */
function add({ unsettled, mistaken, opReplies }: Glance, line: string): void {
  const [uri, root, parent, sign] = line.split(' ') as [string, ...string[]];
  if (root === undefined) {
    unsettled.push(uri);
    return;
  }
  if (sign !== '=') mistaken.push({ uri, invalidReplyRoot: sign === '+' });
  if (authorityOf(root) === authorityOf(uri)) opReplies.push({ uri, root, parent: parent! });
}
