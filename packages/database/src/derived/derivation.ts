import type { Row } from '../copy.ts';
import type { Counts } from '../counts.ts';
import type { Client } from '../pool.ts';
import type { Version } from '../prepare.ts';
import type { TableName } from '../tables.ts';

/** What a batch changed, for what has to follow from it. */
export interface Changes {
  client: Client;
  /** New versions of records, their rows written already. */
  written: readonly Version[];
  /** URIs whose version before was removed; one that is in `written` too was replaced. */
  removed: readonly string[];
  /** Rows that the removal deleted, by table, with the columns that the table's spec names. */
  deletedRows: ReadonlyMap<TableName, readonly Record<string, unknown>[]>;
  /** Rows that were inserted, by table, in the order of the spec's columns. */
  insertedRows: ReadonlyMap<TableName, readonly Row[]>;
  /** Changes of counts, written after the last derivation. */
  counts: Counts;
  options: DerivationOptions;
}

export interface DerivationOptions {
  /** Make notifications for records of whole fetches too. */
  backfillNotifications: boolean;
}

/**
 * Rows and flags that follow from several records, of one repo or of many:
 * gates and what they forbid, quotes, OP replies, notifications.
 *
 * The rule of all derivations: what they leave in the tables is a function of
 * the records that are there, not of the order in which they came. A record
 * that comes late must lead to the same rows as if it had come in time (the
 * order of createdAt is "in time").
 *
 * Locks: all locks of repos are held when a derivation runs. Rows that belong
 * to several repos are changed only under an advisory lock on what ties them
 * together (the thread's root): `locks` names them, they are taken in sorted
 * order before the first derivation runs, and post_agg and profile_agg are
 * written after the last. Whoever keeps to that order can't deadlock.
 */
export interface Derivation {
  name: string;
  /** Keys of the advisory locks that `apply` needs, such as the URIs of thread roots. */
  locks(changes: Changes): Promise<Iterable<string>> | Iterable<string>;
  apply(changes: Changes): Promise<void>;
}
