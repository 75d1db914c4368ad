import { fold } from '../decide.ts';
import type { Op, Version } from '../prepare.ts';
import type { Changes } from './derivation.ts';

/** What a batch did to one URI. */
export interface Outcome {
  uri: string;
  nsid: string;
  /** All operations on it, in the order of delivery. */
  ops: readonly Op[];
  /** The one that took effect last. */
  last: Op | null;
  /** What is there now; null if nothing is. */
  present: { rev: string; cid: string } | null;
  absent: boolean;
  /** The rev that ended the version before, or keeps older ones out; undefined where nothing ended. */
  endRev: string | undefined;
}

/** Outcomes of every URI of these collections that the batch named, but for those of which `relevant` takes no operation. */
export function outcomesOf(
  changes: Changes,
  nsids: ReadonlySet<string>,
  isRelevant: (op: Op, index: number) => boolean = () => true,
): Outcome[] {
  const relevant = changes.ops.filter((op, i) => nsids.has(op.nsid) && isRelevant(op, i));
  return [...Map.groupBy(relevant, (op) => op.uri)].map(([uri, ops]) => outcomeOf(changes, uri, ops));
}

function outcomeOf({ held }: Changes, uri: string, ops: readonly Op[]): Outcome {
  const before = held.get(uri) ?? null;
  const last = fold(before, ops);
  const present = last ? last.version : before?.cid != null ? { rev: before.rev, cid: before.cid } : null;
  const absent = present === null;
  const endRev = last?.rev ?? (before?.tombstone ? before.rev : undefined);
  return { uri, nsid: ops[0]!.nsid, ops, last, present, absent, endRev };
}

/** Versions that the batch brought and that are not what is there now: overtaken before or within the batch. */
export function overtaken({ ops, last }: Outcome): Version[] {
  return ops.filter((op) => op !== last && op.version !== null).map((op) => op.version!);
}
