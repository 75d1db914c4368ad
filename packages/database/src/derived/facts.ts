/**
 * What was, written down when it ends, or when it is heard of after its end:
 * deleted posts, edits, versions of gates, follows and list items that are
 * gone. An event that comes too late to change a row still says what was.
 */
import type { Lexical } from '../collections/collection.ts';
import { collections } from '../collections/index.ts';
import type { Row, Value } from '../copy.ts';
import type { Op, Version } from '../prepare.ts';
import { cellOf, type TableName } from '../tables.ts';
import type { Changes } from './derivation.ts';
import { momentOfRev, momentOfRow } from './moment.ts';
import { type Outcome, outcomesOf, overtaken } from './outcomes.ts';
import { postgateNsid, postNsid, threadgateNsid } from './uris.ts';

const pairNsids = ['app.bsky.graph.follow', 'app.bsky.graph.listitem', 'app.bsky.graph.referencelistoptout'];
const gateNsids = [threadgateNsid, postgateNsid];
const factNsids = new Set([postNsid, ...gateNsids, ...pairNsids]);

/** Writes down everything that a batch says of the past. Idempotent. */
export async function recordFacts(changes: Changes): Promise<void> {
  const byNsid = Map.groupBy(outcomesOf(changes, factNsids), (outcome) => outcome.nsid);
  const posts = byNsid.get(postNsid) ?? [];
  await insert(changes, putPost, pastPosts(changes, posts), 7);
  await insert(changes, putEdit, posts.flatMap(edits), 2);
  const gates = gateNsids.flatMap((nsid) => byNsid.get(nsid) ?? []);
  await insert(changes, putGate, gates.flatMap(gateVersions), 4);
  for (const nsid of pairNsids) {
    await insert(changes, putPair, pastPairs(changes, nsid, byNsid.get(nsid) ?? []), 6);
  }
}

async function insert(
  { client }: Changes,
  statement: { name: string; text: string },
  rows: readonly Row[],
  width: number,
): Promise<void> {
  if (rows.length === 0) return;
  const unique = [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
  const values = Array.from({ length: width }, (_, i) => unique.map((row) => row[i]!));
  await client.query({ ...statement, values });
}

// Several of one URI in one statement: the earliest `since`, the latest `until`.
const putPost = {
  name: 'past post put',
  text: `INSERT INTO headwater.past_post (uri, root, parent, mentions, since, until, invalid)
    SELECT DISTINCT ON (uri) uri, root, parent, mentions::text[], min(since) OVER (PARTITION BY uri),
      max(until) OVER (PARTITION BY uri), invalid
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[])
      AS u(uri, root, parent, mentions, since, until, invalid) ORDER BY uri, since
    ON CONFLICT (uri) DO UPDATE SET since = least(past_post.since, excluded.since),
      until = greatest(past_post.until, excluded.until)`,
};

function pastPosts({ deletedRows, deletedJson }: Changes, outcomes: readonly Outcome[]): Row[] {
  const absent = new Map(outcomes.filter((o) => o.absent && o.endRev).map((o) => [o.uri, o]));
  const rows: Row[] = [];
  for (const row of deletedRows.get('post') ?? []) {
    const outcome = absent.get(row['owner'] as string);
    if (!outcome) continue;
    const { owner, replyRoot, replyParent, sortAt, invalidReplyRoot } = row as Record<string, Value>;
    const json = deletedJson.get(outcome.uri);
    const mentions = arrayText(json ? mentionsOf(JSON.parse(json)) : []);
    const until = momentOfRev(outcome.endRev!);
    rows.push([owner!, replyRoot!, replyParent!, mentions, sortAt!, until, invalidReplyRoot === true]);
  }
  for (const outcome of absent.values()) {
    for (const version of overtaken(outcome)) {
      const row = rowOf(version, 'post');
      if (!row) continue;
      const value = (column: string) => cellOf('post', row, column)!;
      const mentions = arrayText(mentionsOf(version.record));
      const since = momentOfRow('post', row);
      const until = momentOfRev(outcome.endRev!);
      rows.push([outcome.uri, value('replyRoot'), value('replyParent'), mentions, since, until, false]);
    }
  }
  return rows;
}

/** The DIDs that a post's facets mention, in their order. */
export function mentionsOf(record: Lexical): string[] {
  const features = (record.facets ?? []).flatMap((facet: Lexical) => facet.features);
  return features
    .filter((feature: Lexical) => feature.$type === 'app.bsky.richtext.facet#mention')
    .map((feature: Lexical) => feature.did);
}

/** A list of DIDs in PostgreSQL's array syntax; DIDs need no quoting inside it. */
function arrayText(dids: readonly string[]): string {
  return `{${[...new Set(dids)].join(',')}}`;
}

function rowOf(version: Version, table: TableName): Row | undefined {
  return version.rows.find(([name]) => name === table)?.[1];
}

const putEdit = {
  name: 'post edit put',
  text: `INSERT INTO headwater.post_edit (uri, at)
    SELECT uri, max(at) FROM unnest($1::text[], $2::text[]) AS u(uri, at) GROUP BY uri
    ON CONFLICT (uri) DO UPDATE SET at = greatest(post_edit.at, excluded.at)`,
};

function edits({ ops }: Outcome): Row[] {
  return ops.filter(isUpdate).map((op) => [op.uri, op.version!.indexedAt]);
}

function isUpdate(op: Op): boolean {
  return op.live && op.update && op.version !== null;
}

const putGate = {
  name: 'gate put',
  text: `INSERT INTO headwater.gate (uri, rev, at, json)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) ON CONFLICT (uri, rev) DO NOTHING`,
};

/** Of a whole fetch only what took effect: the rest is known, or older than what is known. */
function gateVersions({ ops, last }: Outcome): Row[] {
  return ops
    .filter((op) => op.live || op === last)
    .map((op) => [op.uri, op.rev, gateMoment(op), op.version ? JSON.stringify(op.version.record) : null]);
}

function gateMoment(op: Op): string {
  if (!op.version) return momentOfRev(op.rev);
  if (isUpdate(op)) return op.version.indexedAt;
  const [table, row] = op.version.rows[0]!;
  return momentOfRow(table, row);
}

const putPair = {
  name: 'past pair put',
  text: `INSERT INTO headwater.past_pair (kind, a, b, uri, since, until)
    SELECT kind, a, b, uri, min(since), max(until)
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
      AS u(kind, a, b, uri, since, until) GROUP BY kind, a, b, uri
    ON CONFLICT (kind, a, b, uri) DO UPDATE SET since = least(past_pair.since, excluded.since),
      until = greatest(past_pair.until, excluded.until)`,
};

function pastPairs({ deletedRows, removed }: Changes, nsid: string, outcomes: readonly Outcome[]): Row[] {
  const { table, columns } = collections.get(nsid)!.claim!;
  const ended = new Map(outcomes.filter((o) => o.endRev).map((o) => [o.uri, o]));
  const really = new Set(removed);
  const rows: Row[] = [];
  for (const row of deletedRows.get(table) ?? []) {
    const uri = row['owner'] as string;
    const outcome = ended.get(uri);
    // One that lost its place to an earlier record is still there.
    if (!outcome || !really.has(uri)) continue;
    const [a, b, since] = [...columns, 'sortAt'].map((column) => row[column] as string);
    rows.push([table, a!, b!, uri, since!, momentOfRev(outcome.endRev!)]);
  }
  for (const outcome of ended.values()) {
    if (!outcome.absent) continue;
    for (const version of overtaken(outcome)) {
      const row = rowOf(version, table);
      if (!row) continue;
      const [a, b] = columns.map((column) => cellOf(table, row, column)!);
      rows.push([table, a!, b!, outcome.uri, momentOfRow(table, row), momentOfRev(outcome.endRev!)]);
    }
  }
  return rows;
}
