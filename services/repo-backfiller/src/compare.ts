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
  cid: string;
  /** Appends the record key. */
  writeRkey(to: JsonBytes): void;
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
  /** All rows of the repo in the order of their paths' bytes, page by page; no page is empty. Absent where there are none. */
  rows: AsyncIterable<readonly Row[]> | undefined;
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
  const ours = new Rows(rows);
  try {
    await ours.load();
    if (ours.row === undefined) to.fresh();
    let untilPause = RECORDS_A_TURN;
    for (const record of records) {
      if (--untilPause === 0) {
        untilPause = RECORDS_A_TURN;
        await setImmediate();
      }
      if (!wanted(record.collection)) continue;
      // Where there are no rows nobody asks for its text.
      const path = ours.row ? record.path : '';
      for (let row = ours.row; row !== undefined && row.path < path; row = ours.row) {
        await remove(row, rev, wanted, to);
        await ours.goOn();
      }
      const mine = ours.row?.path === path ? ours.row : undefined;
      if (mine === undefined || (mine.rev <= rev && mine.cid !== record.cid)) {
        const full = to.write(mine === undefined ? 'create' : 'update', record);
        if (full) await full;
      }
      const page = mine && ours.goOn();
      if (page) await page;
    }
    for (let row = ours.row; row !== undefined; row = ours.row) {
      await remove(row, rev, wanted, to);
      await ours.goOn();
    }
  } finally {
    await ours.end();
  }
}

/** Our rows one at a time; nothing is waited for but the next page. */
class Rows {
  readonly #pages: AsyncIterator<readonly Row[]> | undefined;
  #page: readonly Row[] = [];
  #at = 0;

  constructor(pages: AsyncIterable<readonly Row[]> | undefined) {
    this.#pages = pages?.[Symbol.asyncIterator]();
  }

  /** The next one; undefined behind the last. */
  get row(): Row | undefined {
    return this.#page[this.#at];
  }

  goOn(): Promise<void> | undefined {
    this.#at += 1;
    return this.#at < this.#page.length ? undefined : this.load();
  }

  async load(): Promise<void> {
    const next = await this.#pages?.next();
    this.#page = next && !next.done ? next.value : [];
    this.#at = 0;
  }

  async end(): Promise<void> {
    await this.#pages?.return?.();
  }
}

async function remove(row: Row, rev: string, wanted: CompareOptions['wanted'], to: Differences) {
  if (row.rev <= rev && wanted(row.path.slice(0, row.path.indexOf('/')))) await to.delete(row.path);
}
