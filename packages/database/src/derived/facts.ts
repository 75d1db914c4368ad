/**
 * What was, written down when it ends, or when it is heard of after its end:
 * deleted posts, edits, versions of gates, follows and list items that are
 * gone. An event that comes too late to change a row still says what was.
 */
import { collections } from '../collections/index.ts';
import { cellOf, type PackedRow } from '../packed-rows.ts';
import type { Op, Version } from '../prepare.ts';
import type { TableName } from '../tables.ts';
import { together } from '../together.ts';
import type { Changes } from './derivation.ts';
import { mentionsOf } from './mentions.ts';
import { momentOfRev, momentOfRow } from './moment.ts';
import { type Outcome, outcomesOf, overtaken } from './outcomes.ts';
import { postgateNsid, postNsid, threadgateNsid } from './uris.ts';

/** Values of one row of what is written down. */
type Fact = readonly (string | boolean | null)[];

const pairNsids = ['app.bsky.graph.follow', 'app.bsky.graph.listitem', 'app.bsky.graph.referencelistoptout'];
const gateNsids = [threadgateNsid, postgateNsid];
const factNsids = new Set([postNsid, ...gateNsids, ...pairNsids]);

/** Writes down everything that a batch says of the past. Idempotent. */
export async function recordFacts(changes: Changes): Promise<void> {
  // A record's first version ends nothing, and is itself what is there; gates are kept with all their versions.
  const saysNothing = (op: Op, i: number) =>
    i < changes.fresh && op.version !== null && !op.update && !gateNsids.includes(op.nsid);
  const outcomes = outcomesOf(changes, factNsids, (op, i) => !saysNothing(op, i));
  const byNsid = Map.groupBy(outcomes, (outcome) => outcome.nsid);
  const posts = byNsid.get(postNsid) ?? [];
  const gates = gateNsids.flatMap((nsid) => byNsid.get(nsid) ?? []);
  const pairs = pairNsids.map((nsid) => pastPairs(changes, nsid, byNsid.get(nsid) ?? []));
  await together(
    insert(changes, putVersion, postVersions(changes, posts), 8),
    insert(changes, putGate, gates.flatMap(gateVersions), 4),
    ...pairs.map((rows) => insert(changes, putPair, rows, 6)),
  );
}

async function insert(
  { client }: Changes,
  statement: { name: string; text: string },
  rows: readonly Fact[],
  width: number,
): Promise<void> {
  if (rows.length === 0) return;
  const unique = [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
  const values = Array.from({ length: width }, (_, i) => unique.map((row) => row[i]!));
  await client.query({ ...statement, values });
}

const putVersion = {
  name: 'post version put',
  text: `INSERT INTO headwater.post_version (uri, rev, kind, at, root, parent, mentions, invalid)
    SELECT uri, rev, kind, at, root, parent, mentions::text[], invalid
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bool[])
      AS u(uri, rev, kind, at, root, parent, mentions, invalid)
    ON CONFLICT (uri, rev) DO NOTHING`,
};

/** The history of the posts that were edited or deleted, each version once, the richer account of it first. */
function postVersions(changes: Changes, outcomes: readonly Outcome[]): Fact[] {
  const rows = [...replacedPosts(changes, outcomes), ...outcomes.flatMap(heardOf)];
  const unique = new Map<string, Fact>();
  for (const row of rows) {
    const key = `${row[0]} ${row[1]}`;
    if (!unique.has(key)) unique.set(key, row);
  }
  return [...unique.values()];
}

/** What was in `post` until now. */
function* replacedPosts(
  { deletedRows, deletedJson, held }: Changes,
  outcomes: readonly Outcome[],
): Generator<Fact> {
  const ended = new Set(outcomes.map((outcome) => outcome.uri));
  for (const row of deletedRows.get('post') ?? []) {
    const { owner, replyRoot, replyParent, sortAt, invalidReplyRoot } = row as Record<string, string | null>;
    if (!ended.has(owner!)) continue;
    const json = deletedJson.get(owner!);
    const mentions = arrayText(json ? mentionsOf(JSON.parse(json)) : []);
    const invalid = (invalidReplyRoot as unknown) === true;
    yield [owner!, held.get(owner!)!.rev, 'create', sortAt!, replyRoot!, replyParent!, mentions, invalid];
  }
}

/** Deletions, edits, and versions that are no longer there or never were. */
function heardOf({ uri, ops, present }: Outcome): Fact[] {
  return ops.flatMap((op): Fact[] => {
    const { version } = op;
    if (!version) return [[uri, op.rev, 'delete', momentOfRev(op.rev), null, null, '{}', false]];
    const past = version.cid !== present?.cid;
    return op.update || past ? [versionRow(op, version)] : [];
  });
}

function versionRow(op: Op, version: Version): Fact {
  const row = rowOf(version, 'post')!;
  const [root, parent] = ['replyRoot', 'replyParent'].map((column) => cellOf(row, column));
  const at = op.update ? version.indexedAt : momentOfRow(row);
  const kind = op.update ? 'update' : 'create';
  return [op.uri, op.rev, kind, at, root!, parent!, arrayText(version.mentions), false];
}

/** A list of DIDs in PostgreSQL's array syntax; DIDs need no quoting inside it. */
function arrayText(dids: readonly string[]): string {
  return `{${[...new Set(dids)].join(',')}}`;
}

function rowOf(version: Version, table: TableName): PackedRow | undefined {
  return version.rows.find((row) => row.table === table);
}

const putGate = {
  name: 'gate put',
  text: `INSERT INTO headwater.gate (uri, rev, at, json)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) ON CONFLICT (uri, rev) DO NOTHING`,
};

/** Of a whole fetch nothing that is known already. */
function gateVersions({ ops, last, present }: Outcome): Fact[] {
  return ops
    .filter((op) => op.live || op === last || (op.version !== null && op.version.cid !== present?.cid))
    .map((op) => [op.uri, op.rev, gateMoment(op), op.version ? cellOf(op.version.record, 'json') : null]);
}

function gateMoment(op: Op): string {
  if (!op.version) return momentOfRev(op.rev);
  if (op.update) return op.version.indexedAt;
  return momentOfRow(op.version.rows[0]!);
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

function pastPairs({ deletedRows, removed }: Changes, nsid: string, outcomes: readonly Outcome[]): Fact[] {
  const { table, columns } = collections.get(nsid)!.claim!;
  const ended = new Map(outcomes.filter((o) => o.endRev).map((o) => [o.uri, o]));
  const really = new Set(removed);
  const rows: Fact[] = [];
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
      const [a, b] = columns.map((column) => cellOf(row, column));
      rows.push([table, a!, b!, outcome.uri, momentOfRow(row), momentOfRev(outcome.endRev!)]);
    }
  }
  return rows;
}
