/**
 * The writer of records: removes what is replaced or gone, settles who has a
 * subject's row, inserts, then lets the derivations follow. Both paths end
 * here: `direct` operations are written without reading, `merge` operations
 * after a look at what is there.
 */
import { byKey } from './by-key.ts';
import {
  type Claimant,
  claimantOf,
  claimHeirs,
  forgetDuplicates,
  readHolders,
  repointDuplicates,
  settle,
} from './claims.ts';
import type { Collection } from './collections/collection.ts';
import { collections } from './collections/index.ts';
import { copyInto } from './copy.ts';
import { Counts } from './counts.ts';
import { fold } from './decide.ts';
import type { DerivationOptions } from './derived/derivation.ts';
import { derive } from './derived/index.ts';
import { type Present, readHeld, writeTombstones } from './held.ts';
import { type Row, RowPacker } from './packed-rows.ts';
import type { Client } from './pool.ts';
import type { Op, OwnedRow, Version } from './prepare.ts';
import { specOf, type TableName } from './tables.ts';

export interface Written {
  /** Record versions inserted, replaced ones included. */
  written: number;
  /** Rows of `record` deleted, replaced ones included. */
  removed: number;
  /** Operations that changed nothing: older, repeated or contained. */
  unchanged: number;
  /** Rows inserted, by table. */
  rows: Map<string, number>;
  counts: Counts;
  /** Posts of others that were judged otherwise: to be looked at again after the commit. */
  judged: string[];
}

interface Plan {
  written: Version[];
  /** URIs of rows that are there and must go. */
  removed: string[];
  buried: Op[];
  revived: Op[];
  unchanged: number;
}

/** Writes operations of repos whose locks are held. The changes of counts are returned, not written. */
export async function writeOps(
  client: Client,
  ops: { direct: readonly Op[]; merge: readonly Op[] },
  options: DerivationOptions,
): Promise<Written> {
  const held = await readHeld(client, ops.merge);
  const direct = planDirect(ops.direct);
  const merge = plan(held, ops.merge);
  const written = [...direct.written, ...merge.written];
  const removed = merge.removed;
  const work = new Work(client);
  await work.remove(removed);
  await work.insert(written, new Set(direct.written));
  await writeTombstones(client, merge.buried, merge.revived);
  const { counts, deletedRows, deletedJson, insertedRows } = work;
  const all = [...ops.direct, ...ops.merge];
  const changed = { written, removed, deletedRows, deletedJson, insertedRows };
  const named = { ops: all, fresh: ops.direct.length, held };
  const judged = await derive({ client, ...named, ...changed, counts, options });
  const rows = new Map<string, number>([...insertedRows].map(([table, list]) => [table, list.length]));
  rows.set('record', written.length);
  return {
    written: written.length,
    removed: removed.length,
    unchanged: direct.unchanged + merge.unchanged,
    rows,
    counts,
    judged,
  };
}

/** Decides, for every URI that operations name, what becomes of it. */
function plan(held: ReadonlyMap<string, Present>, ops: readonly Op[]): Plan {
  const out: Plan = { written: [], removed: [], buried: [], revived: [], unchanged: 0 };
  for (const [uri, named] of byKey(ops, (op) => op.uri)) {
    const present = held.get(uri) ?? null;
    const all = Array.isArray(named) ? named : [named];
    const last = fold(present, all);
    out.unchanged += last ? all.length - 1 : all.length;
    if (!last) continue;
    if (present && !present.tombstone) out.removed.push(uri);
    if (last.version) {
      out.written.push(last.version);
      if (present?.tombstone) out.revived.push(last);
    } else if (last.live) out.buried.push(last);
  }
  return out;
}

/**
 * As plan, where nothing is held. Parts of one fetch name each URI once; should they not, the key of `record` refuses
 * them, and what is there is read first.
 */
function planDirect(ops: readonly Op[]): Plan {
  const written = ops.flatMap(({ version }) => version ?? []);
  return { written, removed: [], buried: [], revived: [], unchanged: ops.length - written.length };
}

class Work {
  client: Client;
  counts = new Counts();
  deletedRows = new Map<TableName, Record<string, unknown>[]>();
  /** The deleted posts that mention somebody. */
  deletedJson = new Map<string, string>();
  insertedRows = new Map<TableName, OwnedRow[]>();
  /** Claims set free by removal, by collection: the URIs that held them. */
  private freed = new Map<Collection, string[]>();

  constructor(client: Client) {
    this.client = client;
  }

  /** Deletes records and every row they own. */
  async remove(uris: readonly string[]): Promise<void> {
    if (uris.length === 0) return;
    const { rows } = await this.client.query<{ uri: string; json: string | null }>({
      ...deleteRecords,
      values: [uris],
    });
    for (const { uri, json } of rows) if (json !== null) this.deletedJson.set(uri, json);
    for (const [nsid, ofCollection] of Map.groupBy(uris, nsidOf)) {
      const collection = collections.get(nsid);
      if (collection) await this.removeOwned(collection, ofCollection);
    }
  }

  private async removeOwned(collection: Collection, uris: string[]): Promise<void> {
    if (collection.claim) await forgetDuplicates(this.client, uris);
    for (const table of collection.tables) {
      const gone = await this.deleteRows(table, uris);
      if (table === collection.claim?.table && gone.length > 0) {
        this.freed.set(
          collection,
          gone.map((row) => row['owner'] as string),
        );
      }
    }
  }

  private async deleteRows(table: TableName, owners: readonly string[]): Promise<Record<string, unknown>[]> {
    const { rows } = await this.client.query({ ...deleteFrom(table), values: [owners] });
    if (rows.length === 0) return rows;
    this.counts.deleted(table, rows);
    const known = this.deletedRows.get(table);
    if (known) known.push(...rows);
    else this.deletedRows.set(table, rows);
    return rows;
  }

  /** Inserts records and the rows they own. What is `direct` has no row of its repo before it. */
  async insert(written: readonly Version[], direct: ReadonlySet<Version>): Promise<void> {
    const byCollection = Map.groupBy(written, (version) => version.collection);
    const duplicates: Row[] = [];
    for (const collection of new Set([...byCollection.keys(), ...this.freed.keys()])) {
      if (!collection) continue;
      const versions = byCollection.get(collection) ?? [];
      if (collection.claim) duplicates.push(...(await this.settleClaims(collection, versions, direct)));
      this.gather(versions, collection.claim?.table);
    }
    for (const [table, rows] of this.insertedRows) this.counts.inserted(table, rows);
    const records = written.map((version) => version.record);
    const packer = new RowPacker();
    const others = duplicates.map((row) => packer.pack('duplicate_record', row));
    await copyInto(this.client, records, others, ...this.insertedRows.values());
  }

  private gather(versions: readonly Version[], except: TableName | undefined): void {
    for (const version of versions) {
      for (const row of version.rows) if (row.table !== except) this.rowsFor(row.table).push(row);
    }
  }

  private rowsFor(table: TableName): OwnedRow[] {
    const known = this.insertedRows.get(table);
    if (known) return known;
    const rows: OwnedRow[] = [];
    this.insertedRows.set(table, rows);
    return rows;
  }

  /** @returns rows for duplicate_record */
  private async settleClaims(
    collection: Collection,
    versions: readonly Version[],
    direct: ReadonlySet<Version>,
  ): Promise<Row[]> {
    const claim = collection.claim!;
    const heirs = await claimHeirs(this.client, collection, this.freed.get(collection) ?? []);
    const claimants = [...heirs];
    const unknown: Claimant[] = [...heirs];
    for (const version of versions) {
      const claimant = claimantOf(claim, version);
      if (!claimant) continue;
      claimants.push(claimant);
      if (!direct.has(version)) unknown.push(claimant);
    }
    const holders = await readHolders(this.client, claim, unknown);
    const { insert, duplicates, displaced } = settle([...holders, ...claimants]);
    if (displaced.length > 0) {
      await this.deleteRows(
        claim.table,
        displaced.map(([uri]) => uri),
      );
      await repointDuplicates(this.client, displaced);
    }
    if (insert.length > 0) this.rowsFor(claim.table).push(...insert);
    return duplicates;
  }
}

function nsidOf(uri: string): string {
  return uri.split('/', 4)[3]!;
}

const deleteRecords = {
  name: 'delete record',
  text: `DELETE FROM record WHERE uri = ANY($1) RETURNING uri,
    CASE WHEN uri LIKE '%/app.bsky.feed.post/%' AND json LIKE '%facet#mention%' THEN json END AS json`,
};

const deletes = new Map<TableName, { name: string; text: string }>();

/** DELETE by owner, returning what counts and derivations need to know of the rows. */
function deleteFrom(table: TableName): { name: string; text: string } {
  let statement = deletes.get(table);
  if (!statement) {
    const { owner, counts = [], returns = [] } = specOf(table);
    const counted = counts.flatMap(({ key, unless }) => (unless ? [key, unless] : [key]));
    const returned = new Set([...counted, ...returns]);
    const list = [`"${owner}" AS owner`, ...[...returned].map((c) => `"${c}"`)].join(', ');
    statement = {
      name: `delete ${table}`,
      text: `DELETE FROM "${table}" WHERE "${owner}" = ANY($1) RETURNING ${list}`,
    };
    deletes.set(table, statement);
  }
  return statement;
}
