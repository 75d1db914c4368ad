import { BACKFILL_SEQ, type StreamEvent } from '@headwater/events';
import type { Operation } from '../operation.ts';
import type { Commit, World } from './world.ts';

/** A whole repo as it stood after one of its commits. */
export interface Snapshot {
  did: string;
  rev: string;
  commit: string;
  data: string;
  /** When it was fetched. */
  time: string;
  records: Required<Operation>[];
}

/** The live stream's entries, one a commit, in the order in which they happened. */
export function liveEntries(commits: readonly Commit[]): StreamEvent[][] {
  return commits.map((commit, i) => liveEntry(commit, i + 1));
}

function liveEntry(commit: Commit, seq: number): StreamEvent[] {
  const { did, rev, time, since, data, prevData } = commit;
  const envelope = { seq, time, did, commit: commit.commit, rev };
  const events = commit.operations.map(({ action, collection, rkey, cid, record }): StreamEvent => {
    const base = { ...envelope, collection, rkey };
    return action === 'delete'
      ? { type: action, ...base }
      : { type: action, ...base, cid: cid!, record: record! };
  });
  Object.assign(events[0]!, { since, data, prevData });
  return events;
}

/**
 * Every repo as it stood at a moment (by default now); those that had no
 * commit by then are left out. @param fetchedAt the snapshots' time
 */
export function snapshots(world: World, until = '9', fetchedAt?: string): Snapshot[] {
  const past = world.commits.filter((c) => c.time <= until);
  return [...Map.groupBy(past, (c) => c.did)].map(([did, commits]) => {
    const { rev, commit, data, time } = commits.at(-1)!;
    return { did, rev, commit, data, time: fetchedAt ?? time, records: standing(commits, fetchedAt ?? time) };
  });
}

function standing(commits: readonly Commit[], time: string): Required<Operation>[] {
  const records = new Map<string, Required<Operation>>();
  for (const op of commits.flatMap((c) => c.operations)) {
    const path = `${op.collection}/${op.rkey}`;
    if (op.action === 'delete') records.delete(path);
    else records.set(path, { ...(op as Required<Operation>), action: 'create', time });
  }
  return [...records].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, op]) => op);
}

/** A snapshot as the backfiller sends it to a database that has nothing of that repo: parts of `size` events. */
export function backfillEntries(snapshot: Snapshot, fetch: string, size = 20): StreamEvent[][] {
  const { did, rev, commit, time, records, data } = snapshot;
  const envelope = { seq: BACKFILL_SEQ, time, did, commit, rev };
  const creates = records.map(
    ({ collection, rkey, cid, record }): StreamEvent => ({
      type: 'create',
      ...envelope,
      collection,
      rkey,
      cid,
      record,
    }),
  );
  const parts: StreamEvent[][] = [[]];
  for (const event of creates) {
    if (parts.at(-1)!.length === size) parts.push([]);
    parts.at(-1)!.push(event);
  }
  parts.at(-1)!.push({ type: 'repo', ...envelope, parts: parts.length, data });
  parts.forEach((part, i) => {
    Object.assign(part[0]!, { fetch, part: i, fresh: true });
  });
  return parts;
}
