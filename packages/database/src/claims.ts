/**
 * Collections in which a creator has one row for each subject (like, repost,
 * follow, block …). Of several records of one subject the earliest counts
 * (createdAt, then URI); the others are kept in duplicate_record and take its
 * place when it goes. So the rows depend on which records there are, never on
 * the order in which they came.
 */
import { byPair } from './by-key.ts';
import { type Collection, rkeyOf } from './collections/collection.ts';
import { earlier } from './dates.ts';
import { cellOf, type PackedRow, type Row, RowPacker } from './packed-rows.ts';
import type { Client } from './pool.ts';
import { rowsOf, type Version } from './prepare.ts';
import type { TableName } from './tables.ts';

type Claim = NonNullable<Collection['claim']>;

/** A record that wants its subject's row, or has it. */
export interface Claimant {
  readonly uri: string;
  readonly cid: string;
  readonly createdAt: string;
  readonly indexedAt: string;
  /** Who claims what: the values of the claim's two columns. */
  readonly by: string;
  readonly of: string;
  /** null: the row is in the table already. */
  readonly row: PackedRow<TableName> | null;
}

export interface Settlement {
  /** Rows for the claim's table. */
  insert: PackedRow<TableName>[];
  /** Rows for duplicate_record. */
  duplicates: Row[];
  /** Holders that lose their row to an earlier record: [the holder's URI, the winner's]. */
  displaced: [uri: string, by: string][];
}

/** Decides for every subject who has the row. Pure. */
export function settle(claimants: readonly Claimant[]): Settlement {
  const out: Settlement = { insert: [], duplicates: [], displaced: [] };
  for (const ofOne of byPair(claimants, by, of).values()) {
    for (const rivals of ofOne.values()) {
      if (Array.isArray(rivals)) settleRivals(rivals, out);
      else if (rivals.row !== null) out.insert.push(rivals.row);
    }
  }
  return out;
}

const by = (claimant: Claimant) => claimant.by;
const of = (claimant: Claimant) => claimant.of;

function settleRivals(rivals: readonly Claimant[], out: Settlement): void {
  const winner = rivals.reduce((a, b) => (isBefore(b, a) ? b : a));
  if (winner.row !== null) out.insert.push(winner.row);
  for (const rival of rivals) {
    if (rival === winner) continue;
    if (rival.row === null) out.displaced.push([rival.uri, winner.uri]);
    out.duplicates.push([rival.uri, rival.cid, winner.uri, rival.indexedAt]);
  }
}

/** A createdAt that lies after the time of indexing counts as that time. */
function isBefore(a: Claimant, b: Claimant): boolean {
  const [x, y] = [earlier(a.createdAt, a.indexedAt), earlier(b.createdAt, b.indexedAt)];
  return x < y || (x === y && a.uri < b.uri);
}

type Claiming = Pick<Version, 'uri' | 'did' | 'indexedAt' | 'rows'>;

/** The claim that a version makes, if its collection has claims and it has a row. */
export function claimantOf({ table, columns }: Claim, version: Claiming): Claimant | null {
  const row = version.rows.find((one) => one.table === table);
  return row ? new Newcomer(version, row, columns) : null;
}

/** The claim of a row that is to be inserted. Most have no rivals, and are not asked for more than their key. */
class Newcomer implements Claimant {
  readonly uri: string;
  readonly indexedAt: string;
  readonly by: string;
  readonly of: string;
  readonly row: PackedRow<TableName>;

  constructor({ uri, did, indexedAt }: Claiming, row: PackedRow<TableName>, [a, b]: Claim['columns']) {
    this.uri = uri;
    this.indexedAt = indexedAt;
    this.by = a === 'creator' ? did : cellOf(row, a)!;
    this.of = cellOf(row, b)!;
    this.row = row;
  }

  get cid(): string {
    return cellOf(this.row, 'cid')!;
  }

  get createdAt(): string {
    return cellOf(this.row, 'createdAt')!;
  }
}

/** Who has the rows that these claimants want. */
export async function readHolders(
  client: Client,
  { table, columns: [a, b] }: Claim,
  claimants: readonly Claimant[],
): Promise<Claimant[]> {
  if (claimants.length === 0) return [];
  // LIMIT, for look-ups one by one: joined as a whole, a small table would be read from end to end by each batch.
  const keys = [...byPair(claimants, by, of)].flatMap(([a, all]) => [...all.keys()].map((b) => [a, b]));
  const { rows } = await client.query<Omit<Claimant, 'row'>>({
    name: `holders ${table}`,
    text: `SELECT h.uri, h.cid, h."createdAt", h."indexedAt", h."${a}" AS by, h."${b}" AS of
      FROM unnest($1::text[], $2::text[]) AS k(a, b)
      CROSS JOIN LATERAL (SELECT * FROM "${table}" t WHERE t."${a}" = k.a AND t."${b}" = k.b LIMIT 1) h`,
    values: [keys.map(([first]) => first), keys.map(([, second]) => second)],
  });
  return rows.map((row) => ({ ...row, row: null }));
}

const takeHeirs = {
  name: 'heirs',
  text: `DELETE FROM duplicate_record d USING record r
    WHERE d."duplicateOf" = ANY($1) AND r.uri = d.uri
    RETURNING d.uri, r.did, r.cid, r.rev, r.json, d."indexedAt"`,
};

interface HeirRow {
  uri: string;
  did: string;
  cid: string;
  rev: string;
  json: string;
  indexedAt: string;
}

/** Takes the duplicates of records that are gone out of duplicate_record: they claim now. */
export async function claimHeirs(
  client: Client,
  collection: Collection,
  gone: readonly string[],
): Promise<Claimant[]> {
  if (gone.length === 0) return [];
  const { rows } = await client.query<HeirRow>({ ...takeHeirs, values: [gone] });
  const packer = new RowPacker();
  return rows.flatMap((row) => {
    const rows = rowsOf(collection, { ...row, rkey: rkeyOf(row.uri), record: JSON.parse(row.json) }, packer);
    return claimantOf(collection.claim!, { ...row, rows }) ?? [];
  });
}

const forget = {
  name: 'duplicates delete',
  text: 'DELETE FROM duplicate_record WHERE uri = ANY($1)',
};

/** Removed records are no longer anybody's duplicates. */
export async function forgetDuplicates(client: Client, uris: readonly string[]): Promise<void> {
  if (uris.length > 0) await client.query({ ...forget, values: [uris] });
}

const repoint = {
  name: 'duplicates repoint',
  text: `UPDATE duplicate_record d SET "duplicateOf" = k.winner
    FROM unnest($1::text[], $2::text[]) AS k(loser, winner) WHERE d."duplicateOf" = k.loser`,
};

/** Duplicates of a holder that lost its row are duplicates of the winner. */
export async function repointDuplicates(client: Client, displaced: Settlement['displaced']): Promise<void> {
  if (displaced.length === 0) return;
  await client.query({ ...repoint, values: [displaced.map(([uri]) => uri), displaced.map(([, by]) => by)] });
}
