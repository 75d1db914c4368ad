import { setTimeout as sleep } from 'node:timers/promises';
import { keysOf, lagOf, type Redis } from '@headwater/streams';

const pollMs = 500;

/** Jobs of ours and others' that wait or are in hand. */
async function waitingJobs(redis: Redis): Promise<number> {
  const { stream, urgent, later } = keysOf(redis, 'repo_backfill');
  const counts = await Promise.all([redis.xlen(stream), redis.xlen(urgent), redis.zcard(later)]);
  return counts.reduce((sum, n) => sum + n, 0);
}

/** Waits until no more than so many jobs are open. */
export async function untilBelow(redis: Redis, most: number): Promise<void> {
  while ((await waitingJobs(redis)) > most) await sleep(pollMs);
}

/** Waits until nothing is on its way to the tables: no job, and no entry that came of one. */
export async function untilQuiet(redis: Redis): Promise<void> {
  for (;;) {
    const jobs = await waitingJobs(redis);
    const { length, parked } = await lagOf(redis, 'firehose_backfill', 'firehose_group');
    if (jobs + length + parked === 0) return;
    await sleep(pollMs);
  }
}
