import { keysOf, type Lag, lagOf, type Redis } from '@headwater/streams';
import type { ConsoleSettings } from '../open.ts';

export interface ConsumerView {
  name: string;
  pending: number;
  /** Since it last asked for anything. */
  idleMs: number;
}

export interface StreamView extends Lag {
  stream: string;
  group: string;
  /** Entries and bytes above which producers wait. */
  mark: number;
  markBytes: number;
  members: ConsumerView[];
}

/** Every stream with its group, in the order of the water's way. */
export const pipeline = [
  ['repo_backfill:urgent', 'repo_backfill_group'],
  ['repo_backfill', 'repo_backfill_group'],
  ['firehose_backfill', 'firehose_group'],
  ['firehose_live', 'firehose_group'],
  ['label_live', 'label_group'],
] as const;

/** The streams that have letters of their own: an urgent stream's are its twin's. */
export const letterStreams = pipeline.map(([stream]) => stream).filter((name) => !name.endsWith(':urgent'));

/** How each stream stands. */
export function streamViews(redis: Redis, settings: ConsoleSettings): Promise<StreamView[]> {
  const { listMark, listMarkBytes, fetchMark, fetchMarkBytes } = settings;
  return Promise.all(
    pipeline.map(async ([name, group]): Promise<StreamView> => {
      const { stream } = keysOf(redis, name);
      const lag = await lagOf(redis, name, group);
      const members = lag.exists ? await membersOf(redis, stream, group) : [];
      const fetched = name === 'firehose_backfill';
      return {
        ...lag,
        stream: name,
        group,
        mark: fetched ? fetchMark : listMark,
        markBytes: fetched ? fetchMarkBytes : listMarkBytes,
        members,
      };
    }),
  );
}

async function membersOf(redis: Redis, stream: string, group: string): Promise<ConsumerView[]> {
  const all = (await redis.xinfo('CONSUMERS', stream, group)) as (string | number)[][];
  return all.map((flat) => {
    const of = new Map(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]));
    return {
      name: String(of.get('name')),
      pending: Number(of.get('pending')),
      idleMs: Number(of.get('idle')),
    };
  });
}
