/**
 * A post that is deleted or edited takes with it what others made of it
 * before: their reposts' feed items and their rows in `quote`. What they made
 * later stays.
 */
import type { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import type { Targets } from './targets.ts';

/**
 * The end of what these posts were. The AppView's columns have the default
 * collation: compared in that of ours, their indexes could not be used.
 */
const ends = `SELECT uri COLLATE "default" AS uri, max(at) AS at FROM headwater.post_version
  WHERE uri = ANY($1) AND kind <> 'create' GROUP BY uri`;

const ended = { name: 'ended posts', text: ends };

const itemsOfEnded = {
  name: 'feed items of ended posts',
  text: `DELETE FROM feed_item f USING (${ends}) e
    WHERE f."postUri" = e.uri AND f.uri <> e.uri AND f."sortAt" < e.at`,
};

const lateItems = {
  name: 'late feed items',
  text: `DELETE FROM feed_item f WHERE f.uri = ANY($1) AND EXISTS (
    SELECT FROM headwater.post_version v WHERE v.uri = f."postUri" AND v.kind <> 'create' AND v.at > f."sortAt")`,
};

// A quote that was edited stands where it was edited.
const momentOfQuote = `greatest(q."sortAt", (SELECT max(w.at) FROM headwater.post_version w WHERE w.uri = q.uri))`;

const remember = `INSERT INTO headwater.lost_quote (subject, uri) SELECT subject, uri FROM lost ON CONFLICT DO NOTHING`;

const quotesOfEnded = {
  name: 'quotes of ended posts',
  text: `WITH lost AS (
      DELETE FROM quote q USING (${ends}) e WHERE q.subject = e.uri AND ${momentOfQuote} < e.at
      RETURNING q.subject, q.uri
    ), remembered AS (${remember}) SELECT subject FROM lost`,
};

const lateQuotes = {
  name: 'late quotes',
  text: `WITH lost AS (
      DELETE FROM quote q WHERE q.uri = ANY($1) AND EXISTS (
        SELECT FROM headwater.post_version v
        WHERE v.uri = q.subject AND v.kind <> 'create' AND v.at > ${momentOfQuote})
      RETURNING q.subject, q.uri
    ), remembered AS (${remember}) SELECT subject FROM lost`,
};

export async function removeWhatEnded(client: Client, targets: Targets, counts: Counts): Promise<void> {
  const { posts, reposts, quotes } = targets;
  const subjects = new Set([...posts.keys(), ...reposts.values(), ...quotes.values()]);
  if (subjects.size === 0) return;
  const { rows } = await client.query<{ uri: string }>({ ...ended, values: [[...subjects]] });
  if (rows.length === 0) return;
  const ends = new Set(rows.map((row) => row.uri));
  const of = (made: ReadonlyMap<string, string>) => [...made].filter(([, subject]) => ends.has(subject));
  const here = [...ends].filter((uri) => posts.has(uri));
  if (here.length > 0) await client.query({ ...itemsOfEnded, values: [here] });
  await remove(client, lateItems, of(reposts));
  for (const subject of await remove(client, lateQuotes, of(quotes))) counts.add(quoteCount, subject, -1);
  if (here.length === 0) return;
  const lost = await client.query<{ subject: string }>({ ...quotesOfEnded, values: [here] });
  for (const { subject } of lost.rows) counts.add(quoteCount, subject, -1);
}

const quoteCount = 'post_agg.quoteCount';

/** @returns the subjects of what was removed, where the statement tells */
async function remove(
  client: Client,
  statement: { name: string; text: string },
  made: readonly (readonly [uri: string, subject: string])[],
): Promise<string[]> {
  if (made.length === 0) return [];
  const values = [made.map(([uri]) => uri)];
  const { rows } = await client.query<{ subject: string }>({ ...statement, values });
  return rows.map((row) => row.subject);
}
