import { encodeRepoJob, type RepoJob } from '@headwater/events';
import { type Logger, sleep } from '@headwater/ops';
import type { AppendOptions, Producer, Redis } from '@headwater/streams';
import { getRepoStatus, type XrpcClient, XrpcError } from '@headwater/xrpc';

export interface DidJobsOptions {
  redis: Redis;
  dids: readonly string[];
  /** The host asked for each repo's rev, as in the settings, and its name in entries. */
  address: string;
  host: string;
  client: XrpcClient;
  producer: Producer;
  guard?: AppendOptions['guard'];
  /** Set by whoever finds that events were missed: the list is sent again. */
  relistKeys: readonly string[];
  /** Between two looks at those, in ms. */
  relistMs: number;
  log: Logger;
}

const atOnce = 8;

/** Sends the list now, and again whenever events were missed, until the signal aborts. */
export async function keepSendingDids(options: DidJobsOptions, signal: AbortSignal): Promise<void> {
  const { redis, relistKeys, relistMs } = options;
  for (let isDue = true; !signal.aborted; ) {
    if (isDue) {
      for (const key of relistKeys) await redis.del(key);
      await sendDids(options, signal);
    }
    await sleep(relistMs, signal);
    const set = await Promise.all(relistKeys.map((key) => redis.exists(key)));
    isDue = set.includes(1);
  }
}

/**
 * Entries of `repo_backfill` straight from a list of DIDs. The host's word on
 * each repo (rev, status) lets the backfiller skip what has not changed; a repo
 * that the host doesn't know goes on without it.
 */
async function sendDids(options: DidJobsOptions, signal: AbortSignal): Promise<void> {
  const { dids, producer, guard, log } = options;
  for (let i = 0; i < dids.length; i += atOnce) {
    const jobs = await Promise.all(dids.slice(i, i + atOnce).map((did) => jobOf(did, options, signal)));
    await producer.append(jobs.map(encodeRepoJob), { signal, guard });
  }
  log.info({ repos: dids.length }, 'the repos of INGESTER_DIDS are in the stream');
}

async function jobOf(
  did: string,
  { address, host, client }: DidJobsOptions,
  signal: AbortSignal,
): Promise<RepoJob> {
  try {
    const options = { trusted: true, signal, deadlineMs: 15_000 };
    const { active, status, rev } = await getRepoStatus(client, address, did, options);
    return { did, host, rev: rev ?? '', active, ...(status !== undefined && { status }) };
  } catch (err) {
    if (!(err instanceof XrpcError)) throw err;
    return { did, host, rev: '', active: true };
  }
}
