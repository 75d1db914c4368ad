/** Whom a batch concerns besides the posts that it names. Every query is a look-up by index. */
import type { Client } from '../pool.ts';
import type { Targets } from './targets.ts';
import { gateUri, threadgateNsid } from './uris.ts';

async function uris(client: Client, name: string, text: string, values: unknown[][]): Promise<string[]> {
  if (values[0]!.length === 0) return [];
  const { rows } = await client.query<{ uri: string }>({ name, text, values });
  return rows.map((row) => row.uri);
}

/** Posts that reply to these. */
export function childrenOf(client: Client, parents: readonly string[]): Promise<string[]> {
  return uris(client, 'children', 'SELECT uri FROM post WHERE "replyParent" = ANY($1)', [[...parents]]);
}

/** Deleted posts that replied to these. */
export function pastChildrenOf(client: Client, parents: readonly string[]): Promise<string[]> {
  return uris(client, 'past children', 'SELECT uri FROM headwater.past_post WHERE parent = ANY($1)', [
    [...parents],
  ]);
}

// An edit is later than sortAt: posts edited since the moment are found through it.
const repliesText = `SELECT p.uri FROM unnest($1::text[], $2::text[]) AS k(root, at)
    JOIN post p ON p."replyRoot" = k.root AND p."sortAt" >= k.at
  UNION SELECT p.uri FROM unnest($1::text[], $2::text[]) AS k(root, at)
    JOIN headwater.post_edit e ON e.at >= k.at JOIN post p ON p.uri = e.uri AND p."replyRoot" = k.root`;

/** Replies in these threads that are not older than the moment given for each. */
export function repliesSince(client: Client, roots: ReadonlyMap<string, string>): Promise<string[]> {
  return uris(client, 'replies', repliesText, [[...roots.keys()], [...roots.values()]]);
}

const quotesText = `SELECT q.uri FROM unnest($1::text[], $2::text[]) AS k(subject, at)
  JOIN quote q ON q.subject = k.subject LEFT JOIN headwater.post_edit e ON e.uri = q.uri
  WHERE coalesce(e.at, q."sortAt") >= k.at`;

/** Quotes of these posts that are not older than the moment given for each. */
export function quotesSince(client: Client, subjects: ReadonlyMap<string, string>): Promise<string[]> {
  return uris(client, 'quotes', quotesText, [[...subjects.keys()], [...subjects.values()]]);
}

const gatedText = `SELECT g.uri FROM unnest($1::text[], $2::text[]) AS k(a, b)
    JOIN headwater.gated_reply g ON (g.of = k.a AND g.replier = k.b)
  UNION SELECT g.uri FROM unnest($1::text[], $2::text[]) AS k(a, b)
    JOIN headwater.gated_reply g ON (g.of = k.b AND g.replier = k.a)`;

/** Replies that were judged by a follow between these two, either way, or by this list item. */
export function repliesJudgedBy(client: Client, pairs: Targets['pairs']): Promise<string[]> {
  return uris(client, 'replies judged by', gatedText, [pairs.map(([a]) => a), pairs.map(([, b]) => b)]);
}

/** First posts of threads with a gate for whom they mention: their arrival changes verdicts on replies. */
export async function rootsWithMentionRule(client: Client, posts: readonly string[]): Promise<string[]> {
  const gates = posts.map((uri) => gateUri(uri, threadgateNsid));
  const text = `SELECT DISTINCT k.post AS uri FROM unnest($1::text[], $2::text[]) AS k(gate, post)
    JOIN headwater.gate g ON g.uri = k.gate AND g.json LIKE '%threadgate#mentionRule%'`;
  return uris(client, 'roots with mention rule', text, [gates, [...posts]]);
}
