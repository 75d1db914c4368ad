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
import { collectionOf, postNsid } from './uris.ts';

const counter = 'post_agg.quoteCount';

// An edit that we have seen, or a quote of another version than the present one, now or before. Who was edited and
// never quoted has nothing to be counted anew.
const several = {
  name: 'quoted in several versions',
  text: `WITH odd AS (
      SELECT q.subject FROM unnest($3::text[]) AS u JOIN quote q ON q.uri = u
      JOIN post p ON p.uri = q.subject AND p.cid <> q."subjectCid"
    )
    SELECT s.uri, m.uri IS NOT NULL AS marked FROM unnest($1::text[], $2::bool[]) AS s(uri, named)
    LEFT JOIN headwater.quoted_versions m ON m.uri = s.uri
    CROSS JOIN LATERAL (
      SELECT EXISTS (SELECT FROM headwater.post_version v WHERE v.uri = s.uri AND v.kind = 'update') AS edited OFFSET 0
    ) e
    WHERE m.uri IS NOT NULL OR s.uri IN (SELECT subject FROM odd)
      OR e.edited AND EXISTS (SELECT FROM quote q WHERE q.subject = s.uri)
      OR e.edited AND EXISTS (SELECT FROM post_agg a WHERE a.uri = s.uri AND a."quoteCount" <> 0)
      OR s.named AND EXISTS (SELECT FROM quote q JOIN post p ON p.uri = q.subject AND p.cid <> q."subjectCid"
        WHERE q.subject = s.uri)
    ORDER BY s.uri`,
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
 * @param named posts that the batch names: quotes of another version may have come before them
 * @param again posts whose counts may have been corrected by what was about to change
 * @returns the posts whose counts were corrected, or are counted like this from now on: who quotes them at the same
 *   time does not know that yet
 */
export async function correctQuoteCounts(
  client: Client,
  counts: Counts,
  judged: Judged,
  named: readonly string[],
  again: readonly string[],
): Promise<string[]> {
  const quotes = [...judged.posts.values()].filter(
    (p) => p.embeds !== null && collectionOf(p.embeds) === postNsid,
  );
  const deltas = [...(counts.deltas.get(counter) ?? [])];
  const touched = deltas.map(([uri]) => uri);
  // A new quote tells by itself whether it is of another version; one that is gone does not.
  const lost = deltas.filter(([, by]) => by < 0).map(([uri]) => uri);
  const subjects = new Set([...touched, ...named, ...again, ...quotes.map((post) => post.embeds!)]);
  if (subjects.size === 0) return [];
  const known = new Set([...named, ...again, ...lost]);
  const values = [[...subjects], [...subjects].map((uri) => known.has(uri)), quotes.map((post) => post.uri)];
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
