import type { Counts } from '../counts.ts';
import type { Held } from '../decide.ts';
import type { PackedRow } from '../packed-rows.ts';
import type { Client } from '../pool.ts';
import type { Op, Version } from '../prepare.ts';
import type { TableName } from '../tables.ts';

/** What a batch brought and changed, for what has to follow from it. */
export interface Changes {
  client: Client;
  /** Every operation of the batch, in the order of delivery, those without effect included. */
  ops: readonly Op[];
  /** So many of them, the first, were written without reading: each is the first that is heard of its URI. */
  fresh: number;
  /** What was held of their URIs before: rows and tombstones. Nothing for repos written without reading. */
  held: ReadonlyMap<string, Held & { tombstone: boolean }>;
  /** New versions of records, their rows written already. */
  written: readonly Version[];
  /** URIs whose version before was removed; one that is in `written` too was replaced. */
  removed: readonly string[];
  /** Rows that were deleted, by table, with the columns that the table's spec names. */
  deletedRows: ReadonlyMap<TableName, readonly Record<string, unknown>[]>;
  /** JSON of the deleted posts that mention somebody, by URI. */
  deletedJson: ReadonlyMap<string, string>;
  /** Rows that were inserted, by table. */
  insertedRows: ReadonlyMap<TableName, readonly PackedRow[]>;
  /** Changes of counts, written after the last derivation. */
  counts: Counts;
  options: DerivationOptions;
}

export interface DerivationOptions {
  /** Make notifications for records of whole fetches too. */
  backfillNotifications: boolean;
  /** What follows in other repos is left to `followUp` alone: nobody waits for it in a bulk of old records. */
  deferred?: boolean;
}
