import { normalizeDatetimeAlways } from '@atproto/syntax';
import type { Json } from './records.ts';

/** One change of one record, as a repo's history has it. */
export interface Operation {
  action: 'create' | 'update' | 'delete';
  did: string;
  collection: string;
  rkey: string;
  /** Absent from a delete. */
  cid?: string;
  /** Absent from a delete. */
  record?: Json;
  /** When it was seen, ISO with milliseconds: the row's `indexedAt`. */
  time: string;
}

export function uriOf(op: Pick<Operation, 'did' | 'collection' | 'rkey'>): string {
  return `at://${op.did}/${op.collection}/${op.rkey}`;
}

/**
 * Where an operation stands in the defining order. A create stands at its
 * createdAt, or where it was seen if its createdAt lies later; what changes a
 * record stands where it was seen.
 */
export function orderOf(op: Operation): string {
  const createdAt = op.record?.['createdAt'];
  if (op.action !== 'create' || typeof createdAt !== 'string') return op.time;
  const normal = normalizeDatetimeAlways(createdAt);
  // biome-ignore lint/complexity/useMathMinMax: these are strings
  return normal < op.time ? normal : op.time;
}

/**
 * The operations in the defining order; ties keep the order given. No
 * operation stands before an earlier one on the same record, whatever its
 * createdAt says.
 */
export function inOrder(operations: readonly Operation[]): Operation[] {
  const last = new Map<string, string>();
  return operations
    .map((op, i) => {
      const before = last.get(uriOf(op)) ?? '';
      const own = orderOf(op);
      // biome-ignore lint/complexity/useMathMinMax: these are strings
      const at = own < before ? before : own;
      last.set(uriOf(op), at);
      return { op, i, at };
    })
    .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : a.i - b.i))
    .map(({ op }) => op);
}
