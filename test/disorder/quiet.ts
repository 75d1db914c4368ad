import type { Redis } from '@headwater/streams';
import { keysOf } from '@headwater/streams';
import pg from 'pg';
import type { Network } from '../simulator/index.ts';
import { keyOf } from '../support/redis.ts';
import { until } from '../support/wait.ts';

const STREAMS = ['repo_backfill', 'repo_backfill:urgent', 'firehose_backfill', 'firehose_live', 'label_live'];

export interface QuietOptions {
  redis: Redis;
  databaseUrl: string;
  network: Network;
  /** Something that must not have happened meanwhile. @throws to end the wait */
  check: () => void;
  ms: number;
}

/**
 * Waits until nothing is left to do: every event read, the enumeration at its
 * end, every stream empty with nothing parked or pending, no repo half-fetched
 * or out of step. Pauses that operators count in minutes are cut short.
 */
export async function untilQuiet(options: QuietOptions): Promise<void> {
  const client = new pg.Client({ connectionString: options.databaseUrl });
  await client.connect();
  try {
    let calm = 0;
    const heart = new Heart(options.network);
    const say = async () => `quiet; still open: ${JSON.stringify(await openEnds(options, client))}`;
    await until(
      say,
      async () => {
        options.check();
        await letTimePass(options.redis, client);
        heart.beat((await unreadFeeds(options.redis, options.network)).length > 0);
        calm = (await openEnds(options, client)).length === 0 ? calm + 1 : 0;
        return calm > 2;
      },
      options.ms,
    );
  } finally {
    await client.end();
  }
}

/**
 * A network is never silent: whoever subscribed at a place that the relay does
 * not know (any more) learns of it by the next event, and by nothing else.
 */
class Heart {
  readonly #network: Network;
  #last = Date.now();

  constructor(network: Network) {
    this.#network = network;
  }

  /** Lets an account say something after a second in which not all was read. */
  beat(isBehind: boolean): void {
    if (!isBehind) this.#last = Date.now();
    if (Date.now() - this.#last < 1000) return;
    this.#last = Date.now();
    const { world, life } = this.#network;
    const account = world.accounts.find(({ active, quiet }) => active && !quiet);
    if (account) life.touch(account);
  }
}

/** Waits until every event has been read that the network has sent so far. */
export async function untilHeard({ redis, network, check, ms }: QuietOptions): Promise<void> {
  const heart = new Heart(network);
  const say = async () => `all read: ${await unreadFeeds(redis, network)}`;
  await until(
    say,
    async () => {
      check();
      const isBehind = (await unreadFeeds(redis, network)).length > 0;
      heart.beat(isBehind);
      return !isBehind;
    },
    ms,
  );
}

/** What is not done yet, in the order of the water's way. */
async function openEnds(options: QuietOptions, client: pg.Client): Promise<string[]> {
  const { redis, network } = options;
  return [
    ...(await unreadFeeds(redis, network)),
    ...(await unlistedHosts(redis, network)),
    ...(await fullStreams(redis)),
    ...(await unsettledRepos(client, network)),
    ...(await openDepartures(client)),
  ];
}

async function unreadFeeds(redis: Redis, { fleet, labelers }: Network): Promise<string[]> {
  const feeds = [
    ...fleet.relays.map(({ server, firehose }) => ['firehose_live', server.url, firehose.feed] as const),
    ...labelers.map(({ did, feed }) => ['label_live', did, feed] as const),
  ];
  const open = await Promise.all(
    feeds.map(async ([stream, host, { newest }]) => {
      const cursor = await redis.get(keysOf(redis, stream).cursor(host));
      return Number(cursor ?? 0) === newest ? [] : [`${stream} of ${host} at ${cursor} of ${newest}`];
    }),
  );
  return open.flat();
}

async function unlistedHosts(redis: Redis, { relayUrls }: Network): Promise<string[]> {
  const open = await Promise.all(
    relayUrls.map(async (url) => {
      const cursor = await redis.get(keysOf(redis, 'repo_backfill').cursor(url));
      const again = await redis.exists(keyOf(`repo_backfill:relist:${url}`));
      return cursor === '!ingester-done' && again === 0 ? [] : [`enumeration at ${cursor}, relist ${again}`];
    }),
  );
  const looked = Object.keys(await redis.hgetall(keysOf(redis, 'repo_backfill').looked));
  return [...open.flat(), ...looked.map((url) => `list of ${url} to be compared`)];
}

async function fullStreams(redis: Redis): Promise<string[]> {
  const open = await Promise.all(
    STREAMS.map(async (stream) => {
      const keys = keysOf(redis, stream);
      const length = (await redis.xlen(keys.stream)) + (await redis.zcard(keys.later));
      return length === 0 ? [] : [`${stream}: ${length} entries`];
    }),
  );
  return open.flat();
}

/** Repos that the network can give and that are not complete, or of which a commit is missing. */
async function unsettledRepos(client: pg.Client, network: Network): Promise<string[]> {
  const { rows } = await client.query<{ did: string; state: string; gap: boolean }>(
    `SELECT did, state, gap_at IS NOT NULL AS gap FROM headwater.repo
     WHERE state NOT IN ('complete', 'failed', 'unavailable') OR gap_at IS NOT NULL`,
  );
  const known = rows.filter(({ did }) => {
    const account = network.world.byDid.get(did);
    return account?.active && !account.poisoned;
  });
  const wanted = network.world.accounts.filter(({ active, poisoned }) => active && !poisoned).length;
  const { rows: all } = await client.query<{ count: string }>('SELECT count(*) FROM headwater.repo');
  const missing = wanted - Number(all[0]!.count);
  return [
    ...known.slice(0, 5).map(({ did, state, gap }) => `repo ${did} is ${state}${gap ? ' with a gap' : ''}`),
    ...(known.length > 5 ? [`${known.length - 5} more repos`] : []),
    ...(missing > 0 ? [`${missing} repos never seen`] : []),
  ];
}

/** Accounts that are said to be deleted, not settled or not purged yet. */
async function openDepartures(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ did: string }>(
    'SELECT did FROM headwater.departure WHERE due IS NOT NULL LIMIT 5',
  );
  return rows.map(({ did }) => `departure of ${did}`);
}

/** What waits for minutes or hours is due now: hosts left alone, entries between two tries, handles, asked gaps. */
async function letTimePass(redis: Redis, client: pg.Client): Promise<void> {
  for (const stream of STREAMS) {
    const { later } = keysOf(redis, stream);
    const now = Date.now();
    for (const id of await redis.zrangebyscore(later, now + 500, '+inf'))
      await redis.zadd(later, 'XX', now, id);
  }
  const parked = await redis.zrangebyscore('repo_backfill:parked', '-inf', '+inf');
  for (const host of parked) {
    if (Number(await redis.hget(`repo_backfill:host:${host}`, 'until')) > Date.now() + 500) {
      await redis.hset(`repo_backfill:host:${host}`, 'until', `${Date.now()}`);
    }
  }
  const { stream, later } = keysOf(redis, 'firehose_backfill');
  if ((await redis.xlen(stream)) + (await redis.zcard(later)) === 0) await client.query(ageSent);
  await client.query(`UPDATE headwater.departure SET due = now() WHERE due > now() + interval '3 seconds'`);
  await client.query(
    `UPDATE headwater.repo SET asked_at = now() - interval '1 day' WHERE gap_at IS NOT NULL AND asked_at < now() - interval '5 seconds'`,
  );
}

/** Where nothing is on its way any more, what is said to be is lost. */
const ageSent = `UPDATE headwater.repo SET updated_at = now() - interval '2 minutes'
  WHERE state = 'sent' AND updated_at < now() - interval '5 seconds' AND updated_at > now() - interval '1 minute'`;
