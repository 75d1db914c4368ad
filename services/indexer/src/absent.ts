import { randomUUID } from 'node:crypto';
import { absentRepos, type Pool } from '@headwater/database';
import { encodeRepoJob } from '@headwater/events';
import { type Logger, sleep } from '@headwater/ops';
import { keysOf, Producer, type Redis } from '@headwater/streams';
import type { IndexerMetrics } from './metrics.ts';

export interface AbsentContext {
  pool: Pool;
  redis: Redis;
  log: Logger;
  metrics: IndexerMetrics;
}

/** How far a relay's whole list that is through is compared with what we hold. */
interface Looked {
  /** When it was found here, by Redis's clock, in ms: no entry of the list is younger. */
  found?: number;
  after?: string;
  held?: number;
  absent?: number;
}

const lookMs = 2_000;
const page = 1_000;
const leaseMs = 60_000;
/** A list without more than a tenth of what we hold is not a whole one: nobody is asked about on its word. */
const mostAbsent = (held: number) => Math.max(1_000, held / 10);

/**
 * Asks about accounts that the whole list of a relay does not name any more, where it was made because events were
 * missed: those that were deleted meanwhile are in no event. The questions go the way of all others, through the
 * backfiller and its lanes. One copy at a time takes a page; a crash repeats one.
 */
export async function askAbsent(context: AbsentContext, signal: AbortSignal): Promise<void> {
  const { redis } = context;
  const { stream, looked } = keysOf(redis, 'repo_backfill');
  const producer = new Producer(redis, stream, { log: context.log });
  while (!signal.aborted) {
    let isBusy = false;
    for (const [name, text] of Object.entries(await redis.hgetall(looked))) {
      const { found, ...list } = JSON.parse(text) as Looked;
      if (found === undefined) {
        const [seconds, micros] = (await redis.time()).map(Number) as [number, number];
        const now = seconds * 1000 + Math.ceil(micros / 1000);
        await redis.hset(looked, name, JSON.stringify({ ...list, found: now }));
        continue;
      }
      // All that was listed has to be looked at first.
      if (list.after === undefined && (await oldest(redis, stream)) <= found) continue;
      isBusy = (await alone(redis, looked, () => askPage(context, producer, name, signal))) || isBusy;
    }
    if (!isBusy) await sleep(lookMs, signal);
  }
}

/** When the oldest entry that is not done with was written, in ms. */
async function oldest(redis: Redis, stream: string): Promise<number> {
  const [first] = await redis.xrange(stream, '-', '+', 'COUNT', 1);
  return first ? Number.parseInt(first[0], 10) : Number.POSITIVE_INFINITY;
}

/** @returns whether there is more to do */
async function askPage(context: AbsentContext, producer: Producer, name: string, signal: AbortSignal) {
  const { pool, redis, log, metrics } = context;
  const { looked } = keysOf(redis, 'repo_backfill');
  const text = await redis.hget(looked, name);
  if (text === null) return false;
  const [relay, look] = name.split(' ') as [string, string];
  const list = JSON.parse(text) as Looked;
  const { after = '', held = 0, absent = 0 } = list;
  const found = await absentRepos(pool, { look: Number(look), after, limit: page });
  const sum = { held: held + found.held, absent: absent + found.absent.length };
  if (sum.absent > mostAbsent(sum.held)) {
    log.error({ relay, ...sum }, 'a list lacks so many of our repos that it is not taken for a whole one');
    await redis.hdel(looked, name);
    return false;
  }
  const jobs = found.absent.map((did) =>
    encodeRepoJob({ did, host: '', rev: '', active: true, reason: 'account' }),
  );
  await producer.append(jobs, { signal });
  metrics.absent.inc(jobs.length);
  if (found.next !== undefined) {
    await redis.hset(looked, name, JSON.stringify({ ...list, ...sum, after: found.next }));
    return true;
  }
  log.info({ relay, ...sum }, 'compared what we hold with a whole list');
  await redis.hdel(looked, name);
  return false;
}

/** Does one thing, unless another copy is at it. */
async function alone(redis: Redis, key: string, run: () => Promise<boolean>): Promise<boolean> {
  const [lease, token] = [`${key}:lease`, randomUUID()];
  if ((await redis.set(lease, token, 'PX', leaseMs, 'NX')) === null) return false;
  try {
    return await run();
  } finally {
    if ((await redis.get(lease)) === token) await redis.del(lease);
  }
}
