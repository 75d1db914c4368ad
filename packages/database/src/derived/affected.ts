/** Whom a batch concerns besides the posts that it names. Every query is a look-up by index. */
import type { Client } from '../pool.ts';
import type { Targets } from './targets.ts';
import { gateUri, threadgateNsid } from './uris.ts';

type Moments = ReadonlyMap<string, string>;

async function uris(client: Client, name: string, text: string, values: unknown[][]): Promise<string[]> {
  if (values[0]!.length === 0) return [];
  const { rows } = await client.query<{ uri: string }>({ name, text, values });
  return rows.map((row) => row.uri);
}

function since(client: Client, name: string, text: string, moments: Moments): Promise<string[]> {
  return uris(client, name, text, [[...moments.keys()], [...moments.values()]]);
}

const keys = 'FROM unnest($1::text[], $2::text[]) AS k(uri, at)';

// An edit is later than sortAt, so edited posts are found by their versions; so are deleted ones.
const children = `SELECT p.uri ${keys} JOIN post p ON p."replyParent" = k.uri AND p."sortAt" >= k.at
  UNION SELECT v.uri ${keys} JOIN headwater.post_version v ON v.parent = k.uri AND v.at >= k.at`;

/** Posts, deleted ones too, that replied to these at the moment given for each or later. */
export function childrenSince(client: Client, parents: Moments): Promise<string[]> {
  return since(client, 'children', children, parents);
}

const answers = {
  name: 'replies to',
  // One text: rows of pg cost several times what finding them does.
  text: `SELECT string_agg(uri, chr(10)) AS uris FROM (
      SELECT uri FROM post WHERE "replyParent" = ANY($1::text[])
      UNION ALL SELECT uri FROM headwater.post_version WHERE parent = ANY($1::text[])
    ) r WHERE uri COLLATE "C" NOT IN (SELECT unnest($1::text[]))`,
};

/** Posts, deleted ones too, that ever replied to one of these, and are none of these. */
export async function repliesTo(client: Client, parents: readonly string[]): Promise<string[]> {
  if (parents.length === 0) return [];
  const { rows } = await client.query<{ uris: string | null }>({ ...answers, values: [parents] });
  return rows[0]!.uris?.split('\n') ?? [];
}

const descendants = `SELECT p.uri, k.at, p."sortAt" AS moment ${keys} JOIN post p ON p."replyParent" = k.uri
  UNION ALL SELECT v.uri, k.at, v.at AS moment ${keys} JOIN headwater.post_version v ON v.parent = k.uri`;

/**
 * Posts up to `depth` replies below these, made at the moment given for each or later. An older one may lead to a
 * younger: a reply can be dated before what it replies to.
 */
export async function descendantsSince(client: Client, posts: Moments, depth: number): Promise<Set<string>> {
  const found = new Set<string>();
  let level: Moments = posts;
  for (let height = 1; height <= depth && level.size > 0; height++) {
    const { rows } = await client.query<{ uri: string; at: string; moment: string }>({
      name: 'descendants',
      text: descendants,
      values: [[...level.keys()], [...level.values()]],
    });
    const next = new Map<string, string>();
    for (const { uri, at, moment } of rows) {
      if (moment >= at) found.add(uri);
      const known = next.get(uri);
      if (known === undefined || at < known) next.set(uri, at);
    }
    level = next;
  }
  return found;
}

const replies = `SELECT p.uri ${keys} JOIN post p ON p."replyRoot" = k.uri AND p."sortAt" >= k.at
  UNION SELECT v.uri ${keys}
    JOIN headwater.post_version v ON v.root = k.uri AND v.kind = 'update' AND v.at >= k.at`;

/** Replies in these threads made at the moment given for each or later. */
export function repliesSince(client: Client, roots: Moments): Promise<string[]> {
  return since(client, 'replies', replies, roots);
}

const edited = 'EXISTS (SELECT FROM headwater.post_version v WHERE v.uri = q.uri AND v.at >= k.at)';
const quotes = `SELECT q.uri ${keys} JOIN quote q ON q.subject = k.uri AND (q."sortAt" >= k.at OR ${edited})
  UNION SELECT q.uri ${keys} JOIN headwater.lost_quote q ON q.subject = k.uri`;

/** Quotes of these posts made at the moment given for each or later. */
export function quotesSince(client: Client, subjects: Moments): Promise<string[]> {
  return since(client, 'quotes', quotes, subjects);
}

const judgedBy = `SELECT g.uri FROM unnest($1::text[], $2::text[]) AS k(a, b)
    JOIN headwater.gated_reply g ON g.of = k.a AND g.replier = k.b
  UNION SELECT g.uri FROM unnest($1::text[], $2::text[]) AS k(a, b)
    JOIN headwater.gated_reply g ON g.of = k.b AND g.replier = k.a`;

const endedPairs = 'SELECT a, b FROM headwater.past_pair WHERE uri = ANY($1)';

/** Whom these follows and list items concerned when they were there. */
export async function pairsOfEnded(client: Client, ended: readonly string[]): Promise<Targets['pairs']> {
  if (ended.length === 0) return [];
  const { rows } = await client.query<{ a: string; b: string }>({
    name: 'pairs of ended',
    text: endedPairs,
    values: [ended],
  });
  return rows.map(({ a, b }) => [a, b]);
}

/** Replies that were judged by a follow between these two, either way, or by this list item. */
export function repliesJudgedBy(client: Client, pairs: Targets['pairs']): Promise<string[]> {
  return uris(client, 'replies judged by', judgedBy, [pairs.map(([a]) => a), pairs.map(([, b]) => b)]);
}

/**
 * Notes that replies were judged by follows and list items: of, replier, and the reply's URI.
 *
 * @returns replies of which this was not known
 */
export async function rememberDependence(
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

/** First posts of threads with a gate for whom they mention: their arrival changes verdicts on replies. */
export async function rootsWithMentionRule(client: Client, posts: readonly string[]): Promise<string[]> {
  const gates = posts.map((uri) => gateUri(uri, threadgateNsid));
  const text = `SELECT DISTINCT k.post AS uri FROM unnest($1::text[], $2::text[]) AS k(gate, post)
    JOIN headwater.gate g ON g.uri = k.gate AND g.json LIKE '%threadgate#mentionRule%'`;
  return uris(client, 'roots with mention rule', text, [gates, [...posts]]);
}
