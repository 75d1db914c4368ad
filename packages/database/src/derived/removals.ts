/**
 * A post that is deleted or edited takes with it what others made of it
 * before: their reposts' feed items and their rows in `quote`. What they made
 * later stays.
 */
import type { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import { together } from '../together.ts';
import type { Targets } from './targets.ts';

/**
 * The end of what these posts were. The AppView's columns have the default
 * collation: compared in that of ours, their indexes could not be used.
 */
const ends = `SELECT uri COLLATE "default" AS uri, max(at) AS at FROM headwater.post_version
  WHERE uri = ANY($1) AND kind <> 'create' GROUP BY uri`;

const ended = { name: 'ended posts', text: ends };

const lateItemsOfEnded = `SELECT f.uri, f."postUri" AS subject, f."postUri" AS again
  FROM (${ends}) e JOIN feed_item f ON f."postUri" = e.uri WHERE f.uri <> e.uri AND f."sortAt" < e.at`;

// OFFSET, for a look-up of each: joined, a small table of versions would be read from end to end.
const lateItems = `SELECT f.uri, f."postUri" AS subject, f.uri AS again FROM feed_item f
  WHERE f.uri = ANY($1) AND EXISTS (
    SELECT FROM headwater.post_version v WHERE v.uri = f."postUri" AND v.kind <> 'create' AND v.at > f."sortAt" OFFSET 0)`;

// A quote that was edited stands where it was edited.
const momentOfQuote = `greatest(q."sortAt", (SELECT max(w.at) FROM headwater.post_version w WHERE w.uri = q.uri))`;

const lateQuotesOfEnded = `SELECT q.uri, q.subject, q.subject AS again
  FROM (${ends}) e JOIN quote q ON q.subject = e.uri WHERE ${momentOfQuote} < e.at`;

const lateQuotes = `SELECT q.uri, q.subject, q.uri AS again FROM quote q
  WHERE q.uri = ANY($1) AND EXISTS (
    SELECT FROM headwater.post_version v
    WHERE v.uri = q.subject AND v.kind <> 'create' AND v.at > ${momentOfQuote} OFFSET 0)`;

const remember = `, remembered AS (
    INSERT INTO headwater.lost_quote (subject, uri)
    SELECT late.subject, uri FROM late JOIN gone USING (uri) ON CONFLICT DO NOTHING
  )`;

/** Two statements: one leaves out the rows that another is writing, the other waits for them. */
function removal(name: string, table: 'feed_item' | 'quote', late: string) {
  const text = (lock: string) => `WITH late AS (${late}), free AS (
      SELECT uri FROM ${table} WHERE uri = ANY(ARRAY(SELECT uri FROM late)) ORDER BY uri ${lock}
    ), gone AS (
      DELETE FROM ${table} t USING free WHERE t.uri = free.uri RETURNING t.uri
    )${table === 'quote' ? remember : ''}
    SELECT late.subject, late.again, gone.uri IS NOT NULL AS gone FROM late LEFT JOIN gone USING (uri)`;
  return {
    atOnce: { name, text: text('FOR UPDATE SKIP LOCKED') },
    patient: { name: `${name}, waiting`, text: text('FOR UPDATE') },
  };
}

const itemsOfEnded = removal('feed items of ended posts', 'feed_item', lateItemsOfEnded);
const ownItems = removal('late feed items', 'feed_item', lateItems);
const quotesOfEnded = removal('quotes of ended posts', 'quote', lateQuotesOfEnded);
const ownQuotes = removal('late quotes', 'quote', lateQuotes);

/**
 * @param patient whether to wait for what another is writing
 * @returns what is to be looked at again, since something of it was being written
 */
export async function removeWhatEnded(
  client: Client,
  targets: Targets,
  counts: Counts,
  patient: boolean,
): Promise<string[]> {
  const { posts, reposts, quotes } = targets;
  const subjects = new Set([...posts.keys(), ...reposts.values(), ...quotes.values()]);
  if (subjects.size === 0) return [];
  const { rows } = await client.query<{ uri: string }>({ ...ended, values: [[...subjects]] });
  if (rows.length === 0) return [];
  const ends = new Set(rows.map((row) => row.uri));
  const of = (made: ReadonlyMap<string, string>) =>
    [...made].filter(([, subject]) => ends.has(subject)).map(([uri]) => uri);
  const here = [...ends].filter((uri) => posts.has(uri));
  const run = (what: ReturnType<typeof removal>, uris: string[]) =>
    remove(client, patient ? what.patient : what.atOnce, uris);
  const [itemsHere, items, ownQuoted, quotesHere] = await together(
    run(itemsOfEnded, here),
    run(ownItems, of(reposts)),
    run(ownQuotes, of(quotes)),
    run(quotesOfEnded, here),
  );
  const quoted = [...ownQuoted, ...quotesHere];
  for (const { subject, gone } of quoted) if (gone) counts.add('post_agg.quoteCount', subject, -1);
  // Whoever waited for it may find that another has deleted it.
  return patient
    ? []
    : [...itemsHere, ...items, ...quoted].filter(({ gone }) => !gone).map(({ again }) => again);
}

interface Late {
  subject: string;
  again: string;
  gone: boolean;
}

async function remove(
  client: Client,
  statement: { name: string; text: string },
  uris: string[],
): Promise<Late[]> {
  if (uris.length === 0) return [];
  return (await client.query<Late>({ ...statement, values: [uris] })).rows;
}
