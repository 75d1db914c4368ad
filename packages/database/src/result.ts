/** What came of a batch. */
import type { Refused } from './prepare.ts';

export interface ApplyResult {
  /** Rows inserted, by table. */
  rows: Map<string, number>;
  /** Counts that changed with them, by count (`post_agg.likeCount`). */
  counts: Map<string, number>;
  written: number;
  removed: number;
  unchanged: number;
  /** Events and entries left out, by reason. */
  drops: Map<string, number>;
  /** Records that were not indexed; samples of them are kept in headwater.refused_record. */
  refused: Refused[];
  /** Outcomes of live commits against the chain: extended, replay, pending, broken. */
  chain: Map<string, number>;
  /** Repos whose whole fetch is now applied in full. */
  completed: string[];
  /** Entries written without reading, and with. */
  direct: number;
  merged: number;
}

/** Of nothing. */
export function emptyResult(): ApplyResult {
  return {
    rows: new Map(),
    counts: new Map(),
    written: 0,
    removed: 0,
    unchanged: 0,
    drops: new Map(),
    refused: [],
    chain: new Map(),
    completed: [],
    direct: 0,
    merged: 0,
  };
}

export function increment(map: Map<string, number>, key: string, by = 1): void {
  map.set(key, (map.get(key) ?? 0) + by);
}

/** What came of both. */
export function joined(a: ApplyResult, b: ApplyResult): ApplyResult {
  return {
    rows: summed(a.rows, b.rows),
    counts: summed(a.counts, b.counts),
    written: a.written + b.written,
    removed: a.removed + b.removed,
    unchanged: a.unchanged + b.unchanged,
    drops: summed(a.drops, b.drops),
    refused: [...a.refused, ...b.refused],
    chain: summed(a.chain, b.chain),
    completed: [...a.completed, ...b.completed],
    direct: a.direct + b.direct,
    merged: a.merged + b.merged,
  };
}

function summed(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): Map<string, number> {
  const sum = new Map(a);
  for (const [key, by] of b) increment(sum, key, by);
  return sum;
}
