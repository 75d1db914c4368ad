import type { RecordText } from '@headwater/events';
import { giveChunks, takeChunk } from './chunks.ts';
import { columnsOf, type PackedTable } from './tables.ts';

/** A value of a row, all as text: JSON too, or the bytes of it. */
export type Value = string | null | RecordText;
export type Row = readonly Value[];

/** Where a row stands, in COPY's binary format. Its columns are those of its table, in their order. */
export interface PackedRow<T extends PackedTable = PackedTable> {
  readonly table: T;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Two of its values as the texts that they were made of, for who asks for them by `cellOf`; undefined where they are not. */
  readonly creator: string | undefined;
  readonly subject: string | undefined;
}

/** Of a table of which a batch has a few rows. */
const firstBytes = 2 * 1024;

/** A row begins with the number of its values, a value with its length; a jsonb has the version of its format before it. */
const COUNT = 2;
const LENGTH = 4;
const JSONB_VERSION = 1;

/**
 * Rows of one batch as bytes, from the moment that they are made until the batch is through. As texts and lists they
 * would outlive V8's young generation, and be copied and marked until then.
 */
export class RowPacker {
  readonly #sheets = new Map<PackedTable, Sheet>();
  readonly #chunks: Buffer[] = [];
  #isKept = false;

  /**
   * @param row values in the order of the table's columns
   * @param plain no value is known to hold NUL
   */
  pack<T extends PackedTable>(table: T, row: Row, plain = false): PackedRow<T> {
    let sheet = this.#sheets.get(table);
    if (!sheet) {
      sheet = new Sheet(table, this.#chunks);
      this.#sheets.set(table, sheet);
    }
    return sheet.pack(row, plain) as PackedRow<T>;
  }

  /** Something failed: what was not sent yet may still be, so these bytes are never to be written over. */
  keep(): void {
    this.#isKept = true;
  }

  /** Gives the bytes back to be written over. Only when no row is used any more. */
  free(): void {
    const chunks = this.#chunks.splice(0);
    if (!this.#isKept) giveChunks(chunks);
    this.#sheets.clear();
  }
}

/**
 * Rows of one table, one after the other: what is sent is most often one piece. NUL, which PostgreSQL can't store, is
 * left out; a lone surrogate becomes U+FFFD.
 */
class Sheet {
  readonly #table: PackedTable;
  readonly #chunks: Buffer[];
  /** By position. */
  readonly #jsonb: readonly boolean[];
  /** Positions; -1 where there is none. */
  readonly #creator: number;
  readonly #subject: number;
  #chunk: Buffer = Buffer.allocUnsafe(firstBytes);
  #at = 0;

  constructor(table: PackedTable, chunks: Buffer[]) {
    const { columns, jsonb = [], subject = '' } = columnsOf(table);
    this.#table = table;
    this.#chunks = chunks;
    this.#jsonb = columns.map((column) => jsonb.includes(column));
    this.#creator = columns.indexOf('creator');
    this.#subject = columns.indexOf(subject);
  }

  pack(row: Row, plain: boolean): PackedRow {
    this.#makeRoom(row);
    const start = this.#at;
    this.#at += COUNT;
    this.#chunk[start] = row.length >>> 8;
    this.#chunk[start + 1] = row.length;
    for (let i = 0; i < row.length; i++) this.#add(row[i]!, this.#jsonb[i] === true, plain);
    const creator = plain ? textAt(row, this.#creator) : undefined;
    const subject = plain ? textAt(row, this.#subject) : undefined;
    return { table: this.#table, bytes: this.#chunk, start, end: this.#at, creator, subject };
  }

  #makeRoom(row: Row): void {
    let most = COUNT;
    for (const value of row) {
      most += LENGTH + 1;
      // No character takes more than three bytes.
      if (typeof value === 'string') most += value.length * 3;
      else if (value !== null) most += value.end - value.start;
    }
    if (this.#at + most <= this.#chunk.length) return;
    this.#chunk = takeChunk(most);
    this.#chunks.push(this.#chunk);
    this.#at = 0;
  }

  /** Each by itself: put together, texts would be written at once, but leave six times their size to be collected. */
  #add(value: Value, jsonb: boolean, plain: boolean): void {
    const chunk = this.#chunk;
    const at = this.#at;
    let to = at + LENGTH;
    let length = -1;
    if (value !== null) {
      if (jsonb) chunk[to++] = JSONB_VERSION;
      if (typeof value === 'object') to += value.bytes.copy(chunk, to, value.start, value.end);
      else to += chunk.write(plain || !value.includes('\0') ? value : value.replaceAll('\0', ''), to);
      length = to - at - LENGTH;
    }
    chunk[at] = length >>> 24;
    chunk[at + 1] = length >>> 16;
    chunk[at + 2] = length >>> 8;
    chunk[at + 3] = length;
    this.#at = to;
  }
}

function textAt(row: Row, index: number): string | undefined {
  const value = index < 0 ? undefined : row[index];
  return typeof value === 'string' ? value : undefined;
}

/** A row's value as text. @throws RangeError for a column that is not written to the row's table */
export function cellOf(row: PackedRow, column: string): string | null {
  const { table, bytes, start } = row;
  const { columns, jsonb, subject } = columnsOf(table);
  if (column === subject && row.subject !== undefined) return row.subject;
  if (column === 'creator' && row.creator !== undefined) return row.creator;
  const index = columns.indexOf(column);
  if (index < 0) throw new RangeError(`rows of ${table} have no ${column}`);
  let at = start + COUNT;
  for (let i = 0; i < index; i++) at += LENGTH + Math.max(0, lengthAt(bytes, at));
  const length = lengthAt(bytes, at);
  if (length < 0) return null;
  const from = at + LENGTH + (jsonb?.includes(column) ? 1 : 0);
  return bytes.toString('utf8', from, at + LENGTH + length);
}

function lengthAt(bytes: Buffer, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
