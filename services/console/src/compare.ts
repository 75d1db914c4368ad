import type { RepoRecord } from '@headwater/repo';

/** A row of ours, as `record` has it. */
export interface Row {
  path: string;
  cid: string;
  rev: string;
}

export interface Difference {
  path: string;
  kind: 'missing' | 'extra' | 'differs';
}

export interface Comparison {
  equal: number;
  /** Rows that a commit above the fetched rev wrote: the repo moved on meanwhile. */
  newer: number;
  differences: Difference[];
}

/**
 * Compares a repo with its rows, both sorted by path.
 *
 * @param rev of the repo: rows above it are newer, not wrong
 */
export function compareRows(
  records: Iterable<Pick<RepoRecord, 'path' | 'cid'>>,
  rows: readonly Row[],
  rev: string,
): Comparison {
  const result: Comparison = { equal: 0, newer: 0, differences: [] };
  const left = new Map(rows.map((row) => [row.path, row]));
  for (const { path, cid } of records) {
    const row = left.get(path);
    left.delete(path);
    if (!row) result.differences.push({ path, kind: 'missing' });
    else if (row.cid === cid) result.equal++;
    else if (row.rev > rev) result.newer++;
    else result.differences.push({ path, kind: 'differs' });
  }
  for (const { path, rev: written } of left.values()) {
    if (written > rev) result.newer++;
    else result.differences.push({ path, kind: 'extra' });
  }
  return result;
}
