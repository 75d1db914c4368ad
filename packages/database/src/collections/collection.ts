import type { Row, Value } from '../packed-rows.ts';
import type { TableName } from '../tables.ts';

// biome-ignore lint/suspicious/noExplicitAny: a record that its lexicon has accepted
export type Lexical = any;

/** What a builder is given: one version of one record, valid by its lexicon. */
export interface RecordInput {
  uri: string;
  did: string;
  rkey: string;
  cid: NonNullable<Value>;
  /** Lexicon JSON; of a plain record (plain-records.ts) CIDs as where they stand. */
  record: Lexical;
  /** When it was indexed: normalised. */
  indexedAt: string;
}

export type Emit = (table: TableName, row: Row) => void;

/**
 * How one collection becomes rows. The only place that knows; both writers use it.
 *
 * A builder is a pure function of one record: what depends on other records
 * (gates, quotes' flags, notifications) belongs in src/derived.
 */
export interface Collection {
  nsid: string;
  /** Every table that `build` may emit to. On delete their rows of that record go. */
  tables: readonly TableName[];
  /** A table with one row for each pair of these columns: later records of the same pair are duplicates. */
  claim?: { table: TableName; columns: readonly [string, string] };
  /** Officially not checked against its lexicon. */
  unchecked?: boolean;
  /** @throws RefusedError when the record contradicts itself or its place */
  build(input: RecordInput, emit: Emit): void;
}

/** A record that is not indexed: counted by collection and `reason`, a sample kept. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  /** From a small, fixed set: it is the label of a metric. */
  reason: string;
  constructor(reason: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The CID of a blob, in its present or its earlier form; null where there is none. */
export function blobCid(blob: Lexical): string | null {
  return blob?.ref?.$link ?? (typeof blob?.cid === 'string' ? blob.cid : null);
}

const authorityStart = 'at://'.length;

/** Who owns a record: what stands before the first slash of `at://authority/collection/rkey`. */
export function authorityOf(uri: string): string {
  return partOf(uri, authorityStart);
}

/** NSID of the collection of a record. */
export function collectionOf(uri: string): string {
  const slash = uri.indexOf('/', authorityStart);
  return slash < 0 ? '' : partOf(uri, slash + 1);
}

export function rkeyOf(uri: string): string {
  const first = uri.indexOf('/', authorityStart);
  const second = first < 0 ? -1 : uri.indexOf('/', first + 1);
  return second < 0 ? '' : partOf(uri, second + 1);
}

function partOf(uri: string, start: number): string {
  const end = uri.indexOf('/', start);
  return end < 0 ? uri.slice(start) : uri.slice(start, end);
}

/** JSON for a jsonb column, which refuses NUL and lone surrogates; null for an empty or absent list. */
export function jsonList(list: readonly string[] | undefined): string | null {
  if (!list?.length) return null;
  return JSON.stringify(list.map((s) => s.replaceAll('\0', '').toWellFormed()));
}
