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
 * Every repo as it stood at a moment, as fetched at `fetchedAt`; those that
 * had no commit by then are left out.
 *
 * Each record is stamped a millisecond of its own, the last one `fetchedAt`:
 * of records dated in the future none stands at the same moment as another.
 */
export function snapshots(world: World, until: string, fetchedAt: string): Snapshot[] {
  const past = world.commits.filter((c) => c.time <= until);
  const repos = [...Map.groupBy(past, (c) => c.did)];
  const held = repos.map(([, commits]) => standing(commits));
  let stamp = Date.parse(fetchedAt) - held.flat().length;
  const stamped = (op: Operation) =>
    ({ ...op, time: new Date(++stamp).toISOString() }) as Required<Operation>;
  return repos.map(([did, commits], i) => {
    const { rev, commit, data } = commits.at(-1)!;
    return { did, rev, commit, data, time: fetchedAt, records: held[i]!.map(stamped) };
  });
}

function standing(commits: readonly Commit[]): Operation[] {
  const records = new Map<string, Operation>();
  for (const op of commits.flatMap((c) => c.operations)) {
    const path = `${op.collection}/${op.rkey}`;
    if (op.action === 'delete') records.delete(path);
    else records.set(path, { ...op, action: 'create' });
  }
  return [...records].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, op]) => op);
}

/**
 * A snapshot as the backfiller sends it to a database that has nothing of that repo: parts of 20 events.
 *
 * @param fresh whether it says that it found nothing
 */
export function backfillEntries(snapshot: Snapshot, fetch: string, fresh = true): StreamEvent[][] {
  const { did, rev, commit, time, records, data } = snapshot;
  const envelope = { seq: BACKFILL_SEQ, time, did, commit, rev };
  const creates = records.map(
    ({ collection, rkey, cid, record, time }): StreamEvent => ({
      type: 'create',
      ...envelope,
      time,
      collection,
      rkey,
      cid,
      record,
    }),
  );
  const parts: StreamEvent[][] = [[]];
  for (const event of creates) {
    if (parts.at(-1)!.length === 20) parts.push([]);
    parts.at(-1)!.push(event);
  }
  parts.at(-1)!.push({ type: 'repo', ...envelope, parts: parts.length, data });
  parts.forEach((part, i) => {
    Object.assign(part[0]!, { fetch, part: i, fresh });
  });
  return parts;
}
