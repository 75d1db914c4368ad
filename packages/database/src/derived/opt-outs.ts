/**
 * Opt-outs of lists: who opts out twice keeps the first, and a second one does
 * not take its place when the first is deleted. So the row is that of the
 * record that came when there was none, which the history tells, not of the
 * earliest that is there.
 */
import { type Collection, rkeyOf } from '../collections/collection.ts';
import { collections } from '../collections/index.ts';
import { copyInto } from '../copy.ts';
import { cellOf, type PackedRow, RowPacker } from '../packed-rows.ts';
import { rowsOf } from '../prepare.ts';
import type { Changes } from './derivation.ts';
import { momentOfRow } from './moment.ts';

const nsid = 'app.bsky.graph.referencelistoptout';
const table = 'reference_list_opt_out';

interface Spell {
  uri: string;
  since: string;
  /** null: it is still there. */
  until: string | null;
  row: PackedRow | null;
}

export async function settleOptOuts(changes: Changes): Promise<void> {
  const pairs = pairsOf(changes);
  if (pairs.size === 0) return;
  const past = await pastOf(changes, pairs);
  // Without a past the earliest record has the row, which the writer sees to.
  if (past.size === 0) return;
  const present = await presentOf(changes, past);
  for (const [pair, spells] of past) {
    const holder = holderOf([...spells, ...(present.get(pair) ?? [])]);
    await give(changes, pair, holder?.row ?? null);
  }
}

/** Creator and subject, with a space between, of all that the batch named. */
function pairsOf({ ops, deletedRows }: Changes): Set<string> {
  const pairs = new Set<string>();
  for (const op of ops) {
    if (op.nsid !== nsid || !op.version) continue;
    for (const row of op.version.rows) pairs.add(pairOf(row));
  }
  for (const row of deletedRows.get(table) ?? []) pairs.add(`${row['creator']} ${row['subjectUri']}`);
  return pairs;
}

function pairOf(row: PackedRow): string {
  return `${cellOf(row, 'creator')} ${cellOf(row, 'subjectUri')}`;
}

async function pastOf({ client }: Changes, pairs: ReadonlySet<string>): Promise<Map<string, Spell[]>> {
  const split = [...pairs].map((pair) => pair.split(' '));
  const { rows } = await client.query<{ a: string; b: string; uri: string; since: string; until: string }>({
    name: 'past opt-outs',
    text: `SELECT p.a, p.b, p.uri, p.since, p.until FROM unnest($1::text[], $2::text[]) AS k(a, b)
      JOIN headwater.past_pair p ON p.kind = '${table}' AND p.a = k.a AND p.b = k.b`,
    values: [split.map(([a]) => a), split.map(([, b]) => b)],
  });
  const spells = rows.map(({ a, b, uri, since, until }) => ({
    pair: `${a} ${b}`,
    uri,
    since,
    until,
    row: null,
  }));
  return Map.groupBy(spells, (spell) => spell.pair);
}

/** All opt-outs of the creators concerned. They have few. */
async function presentOf(
  { client }: Changes,
  pairs: ReadonlyMap<string, unknown>,
): Promise<Map<string, Spell[]>> {
  const collection = collections.get(nsid)!;
  const prefixes = new Set([...pairs.keys()].map((pair) => `at://${pair.split(' ', 1)[0]}/${nsid}/`));
  const { rows } = await client.query<StoredRecord>({
    name: 'opt-outs of creators',
    text: `SELECT r.uri, r.did, r.cid, r.rev, r.json, r."indexedAt" FROM unnest($1::text[]) AS k(prefix)
      JOIN record r ON r.uri > k.prefix AND r.uri < k.prefix || '~~'`,
    values: [[...prefixes]],
  });
  const packer = new RowPacker();
  const spells = rows.flatMap((row) => spellOf(collection, row, packer));
  return Map.groupBy(spells, (spell) => pairOf(spell.row!));
}

interface StoredRecord {
  uri: string;
  did: string;
  cid: string;
  rev: string;
  json: string;
  indexedAt: string;
}

function spellOf(collection: Collection, stored: StoredRecord, packer: RowPacker): Spell[] {
  return rowsOf(
    collection,
    { ...stored, rkey: rkeyOf(stored.uri), record: JSON.parse(stored.json) },
    packer,
  ).map((row) => ({
    uri: stored.uri,
    since: momentOfRow(row),
    until: null,
    row,
  }));
}

/** Who has the row after all, if each takes it that finds it free. */
function holderOf(spells: readonly Spell[]): Spell | null {
  const order = spells.toSorted((a, b) => (`${a.since} ${a.uri}` < `${b.since} ${b.uri}` ? -1 : 1));
  let holder: Spell | null = null;
  for (const spell of order) {
    const taken = holder !== null && (holder.until === null || spell.since < holder.until);
    if (!taken) holder = spell;
  }
  return holder?.until === null ? holder : null;
}

async function give({ client }: Changes, pair: string, row: PackedRow | null): Promise<void> {
  const [creator, subject] = pair.split(' ');
  const uri = row && cellOf(row, 'uri');
  await client.query({
    name: 'opt-out take',
    text: `DELETE FROM ${table} WHERE creator = $1 AND "subjectUri" = $2 AND uri IS DISTINCT FROM $3`,
    values: [creator, subject, uri],
  });
  if (!row) return;
  const held = { name: 'opt-out held', text: `SELECT FROM ${table} WHERE uri = $1`, values: [uri] };
  if ((await client.query(held)).rowCount !== 0) return;
  await copyInto(client, [row]);
}
