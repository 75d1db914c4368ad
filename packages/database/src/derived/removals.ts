/**
 * A post that is deleted or edited takes with it what others made of it
 * before: their reposts' feed items and their rows in `quote`. What they made
 * later stays.
 */
import type { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import type { Targets } from './targets.ts';

/** Posts that ended or were edited, and when. */
const ends = `SELECT uri, until AS at FROM headwater.past_post WHERE uri = ANY($1)
  UNION ALL SELECT uri, at FROM headwater.post_edit WHERE uri = ANY($1)`;

const ended = { name: 'ended posts', text: ends };

const itemsOfEnded = {
  name: 'feed items of ended posts',
  text: `DELETE FROM feed_item f USING unnest($1::text[], $2::text[]) AS e(uri, at)
    WHERE f."postUri" = e.uri AND f.uri <> e.uri AND f."sortAt" < e.at`,
};

// A quote that was edited stands where it was edited.
const quotesOfEnded = {
  name: 'quotes of ended posts',
  text: `DELETE FROM quote q USING unnest($1::text[], $2::text[]) AS e(uri, at)
    WHERE q.subject = e.uri AND e.at > coalesce((SELECT at FROM headwater.post_edit p WHERE p.uri = q.uri), q."sortAt")
    RETURNING q.subject`,
};

const lateItems = {
  name: 'late feed items',
  text: `DELETE FROM feed_item f WHERE f.uri = ANY($1) AND (
      EXISTS (SELECT FROM headwater.past_post p WHERE p.uri = f."postUri" AND p.until > f."sortAt")
      OR EXISTS (SELECT FROM headwater.post_edit p WHERE p.uri = f."postUri" AND p.at > f."sortAt"))`,
};

const lateQuotes = {
  name: 'late quotes',
  text: `DELETE FROM quote q USING (
      SELECT u.uri, coalesce(e.at, u."sortAt") AS moment FROM quote u LEFT JOIN headwater.post_edit e ON e.uri = u.uri
      WHERE u.uri = ANY($1)) AS m
    WHERE q.uri = m.uri AND (
      EXISTS (SELECT FROM headwater.past_post p WHERE p.uri = q.subject AND p.until > m.moment)
      OR EXISTS (SELECT FROM headwater.post_edit p WHERE p.uri = q.subject AND p.at > m.moment))
    RETURNING q.subject`,
};

export async function removeWhatEnded(client: Client, targets: Targets, counts: Counts): Promise<void> {
  const posts = [...targets.posts.keys()];
  if (posts.length > 0) {
    const { rows } = await client.query<{ uri: string; at: string }>({ ...ended, values: [posts] });
    if (rows.length > 0) {
      const values = [rows.map((row) => row.uri), rows.map((row) => row.at)];
      await client.query({ ...itemsOfEnded, values });
      await uncount(client, quotesOfEnded, values, counts);
    }
    await uncount(client, lateQuotes, [posts], counts);
  }
  if (targets.reposts.size > 0) await client.query({ ...lateItems, values: [[...targets.reposts]] });
}

async function uncount(
  client: Client,
  statement: { name: string; text: string },
  values: unknown[],
  counts: Counts,
): Promise<void> {
  const { rows } = await client.query<{ subject: string }>({ ...statement, values });
  for (const { subject } of rows) counts.add('post_agg.quoteCount', subject, -1);
}
