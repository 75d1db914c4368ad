/**
 * Officially quotes are counted by the version that they quote: a post that
 * was edited counts the quotes of the version that was quoted last. Almost
 * every post has one version, so quotes are counted by deltas like all else,
 * and only posts quoted in several versions are counted anew.
 */
import { countsDeferred } from '../bulk/state.ts';
import type { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import type { Judged } from './judging.ts';
import type { Targets } from './targets.ts';
import { collectionOf, postNsid } from './uris.ts';

const counter = 'post_agg.quoteCount';

const ofAnother = `SELECT q.subject FROM quote q JOIN post p ON p.uri = q.subject AND p.cid <> q."subjectCid"`;

// An edit that we have seen, or a quote of another version than the present one, now or before. Who was edited and
// never quoted has nothing to be counted anew.
const several = {
  name: 'quoted in several versions',
  text: `WITH edited AS MATERIALIZED (
      SELECT DISTINCT uri COLLATE "default" AS uri FROM headwater.post_version
      WHERE uri = ANY($1::text[] || $2::text[]) AND kind = 'update'
    ), odd AS (
      SELECT uri COLLATE "default" AS uri FROM headwater.quoted_versions
      WHERE uri = ANY($1::text[] || $2::text[])
      UNION SELECT uri FROM edited e WHERE EXISTS (SELECT FROM quote q WHERE q.subject = e.uri OFFSET 0)
        OR EXISTS (SELECT FROM post_agg a WHERE a.uri = e.uri AND a."quoteCount" <> 0 OFFSET 0)
      UNION ${ofAnother} WHERE q.subject = ANY($2::text[])
      UNION ${ofAnother} WHERE q.uri = ANY($3::text[])
    )
    SELECT o.uri, m.uri IS NOT NULL AS marked FROM odd o
    LEFT JOIN headwater.quoted_versions m ON m.uri = o.uri ORDER BY o.uri`,
};

// Later quotes of the present version don't tell by themselves that there are others.
const mark = {
  name: 'quoted in several versions put',
  text: `INSERT INTO headwater.quoted_versions (uri) SELECT * FROM unnest($1::text[])
    ON CONFLICT DO NOTHING RETURNING uri`,
};

const recount = {
  name: 'quotes of the newest version',
  text: `SELECT s AS uri, a.held, (
      SELECT count(*) FROM quote q WHERE q.subject = s AND q."subjectCid" = (
        SELECT n."subjectCid" FROM quote n
        LEFT JOIN headwater.post_version v ON v.uri = n.uri AND v.kind = 'update'
        WHERE n.subject = s ORDER BY greatest(n."sortAt", v.at) DESC, n.uri DESC LIMIT 1)
    )::int AS wanted
    FROM unnest($1::text[]) AS s
    LEFT JOIN LATERAL (SELECT "quoteCount"::int AS held FROM post_agg WHERE uri = s FOR NO KEY UPDATE) a ON true
    ORDER BY s`,
};

/**
 * Corrects the changes of counts of posts that are quoted in several versions.
 *
 * @param targets names posts: quotes of another version may have come before them
 * @param again posts whose counts may have been corrected by what was about to change
 * @returns the posts whose counts were corrected, or are counted like this from now on: who quotes them at the same
 *   time does not know that yet
 */
export async function correctQuoteCounts(
  client: Client,
  counts: Counts,
  judged: Judged,
  targets: Targets,
  again: readonly string[],
): Promise<string[]> {
  const quotes = new Map(targets.quotes);
  for (const { uri, embeds } of judged.posts.values()) {
    if (embeds !== null && collectionOf(embeds) === postNsid) quotes.set(uri, embeds);
  }
  const deltas = [...(counts.deltas.get(counter) ?? [])];
  const touched = deltas.map(([uri]) => uri);
  // A new quote tells by itself whether it is of another version; one that is gone does not.
  const lost = deltas.filter(([, by]) => by < 0).map(([uri]) => uri);
  const known = new Set([...targets.posts.keys(), ...again, ...lost]);
  const others = new Set([...touched, ...quotes.values()].filter((uri) => !known.has(uri)));
  if (known.size + others.size === 0) return [];
  const values = [[...others], [...known], [...quotes.keys()]];
  const odd = await client.query<{ uri: string; marked: boolean }>({ ...several, values });
  if (odd.rows.length === 0) return [];
  const unmarked = odd.rows.filter((row) => !row.marked).map((row) => row.uri);
  const corrected = new Set(await remember(client, unmarked));
  // In bulk mode they are counted at its end.
  if (await countsDeferred(client)) return [...corrected];
  const { rows } = await client.query<{ uri: string; held: number | null; wanted: number }>({
    ...recount,
    values: [odd.rows.map((row) => row.uri)],
  });
  for (const { uri, held, wanted } of rows) {
    const pending = counts.deltas.get(counter)?.get(uri) ?? 0;
    const by = wanted - (held ?? 0) - pending;
    if (by === 0) continue;
    counts.add(counter, uri, by);
    corrected.add(uri);
  }
  return [...corrected];
}

/** @returns those of which it was not known */
async function remember(client: Client, uris: readonly string[]): Promise<string[]> {
  if (uris.length === 0) return [];
  const { rows } = await client.query<{ uri: string }>({ ...mark, values: [uris] });
  return rows.map((row) => row.uri);
}
