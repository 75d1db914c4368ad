import { setImmediate } from 'node:timers/promises';
import type { JsonBytes } from '@headwater/repo';

/** Records looked at before the rest of the process has its turn: a few milliseconds. */
const RECORDS_A_TURN = 4096;

/** A row of ours, as the comparison needs it. */
export interface Row {
  /** `collection/rkey`. */
  path: string;
  cid: string;
  rev: string;
}

/** A record of the fetched repo. Its contents are asked for only where it is sent. */
export interface SnapshotRecord {
  path: string;
  collection: string;
  rkey: string;
  cid: string;
  /** Appends the text of the CID. */
  writeCid(to: JsonBytes): void;
  /** Appends the record. @throws RepoError when it can't be said in lexicon JSON; then nothing is appended */
  writeJson(to: JsonBytes): void;
}

/** Where the comparison's findings go. A promise returned means: wait before the next one. */
export interface Differences {
  /** Not one row of the repo is there. Said before anything else. */
  fresh(): void;
  write(type: 'create' | 'update', record: SnapshotRecord): Promise<void> | undefined;
  delete(path: string): Promise<void> | undefined;
}

export interface CompareOptions {
  records: Iterable<SnapshotRecord>;
  /** All rows of the repo in the order of their paths' bytes. */
  rows: AsyncIterable<Row>;
  /** rev of the fetch. */
  rev: string;
  wanted: (collection: string) => boolean;
  to: Differences;
}

/**
 * One pass over a whole repo and our rows of it, both sorted by path, in
 * constant memory: what must be written or deleted so that the rows say what
 * the repo says at `rev`. Rows with a newer rev and rows of collections that
 * are not wanted are left alone; what is equal is not mentioned. A row of this
 * very rev can differ after all: two hosts told different histories.
 */
export async function compare({ records, rows, rev, wanted, to }: CompareOptions): Promise<void> {
  const cursor = rows[Symbol.asyncIterator]();
  try {
    let row = await nextRow(cursor);
    if (row === undefined) to.fresh();
    let untilPause = RECORDS_A_TURN;
    for (const record of records) {
      if (--untilPause === 0) {
        untilPause = RECORDS_A_TURN;
        await setImmediate();
      }
      if (!wanted(record.collection)) continue;
      const { path } = record;
      while (row !== undefined && row.path < path) {
        await remove(row, rev, wanted, to);
        row = await nextRow(cursor);
      }
      const mine: Row | undefined = row?.path === path ? row : undefined;
      if (mine === undefined || (mine.rev <= rev && mine.cid !== record.cid)) {
        const full = to.write(mine === undefined ? 'create' : 'update', record);
        if (full) await full;
      }
      if (mine !== undefined) row = await nextRow(cursor);
    }
    for (; row !== undefined; row = await nextRow(cursor)) await remove(row, rev, wanted, to);
  } finally {
    await cursor.return?.();
  }
}

async function remove(row: Row, rev: string, wanted: CompareOptions['wanted'], to: Differences) {
  if (row.rev <= rev && wanted(row.path.slice(0, row.path.indexOf('/')))) await to.delete(row.path);
}

async function nextRow(cursor: AsyncIterator<Row>): Promise<Row | undefined> {
  const next = await cursor.next();
  return next.done ? undefined : next.value;
}
