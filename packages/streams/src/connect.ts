import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import { RedisUnavailableError } from './errors.ts';
import { quickenTexts } from './quick-texts.ts';
import { parseRedisUrl, type RedisTarget } from './redis-url.ts';
import { type Log, silent } from './types.ts';

export type { Redis };

quickenTexts();

export interface ConnectOptions {
  /** Shown by CLIENT LIST. */
  name?: string;
  log?: Log;
}

const targets = new WeakMap<Redis, { target: RedisTarget; log: Log; lastError?: Error }>();

/**
 * A client that connects with its first command and reconnects for ever:
 * commands wait meanwhile. Standalone, Cluster or Sentinel by the URL (see
 * `parseRedisUrl`). A cluster's client has the same commands; keys of one
 * command must share a slot there.
 *
 * @throws RedisUrlError when the URL can't be used
 */
export function connect(url: string, { name = 'headwater', log = silent }: ConnectOptions = {}): Redis {
  const target = parseRedisUrl(url);
  return watch(open(target, name), target, log);
}

/** A second connection to the same place, for commands that block. */
export function duplicate(redis: Redis): Redis {
  const known = targets.get(redis);
  const copy = redis.duplicate() as Redis;
  return known ? watch(copy, known.target, known.log) : copy;
}

/** Is it a client of Redis Cluster? */
export function isCluster(redis: Redis): boolean {
  return (redis as unknown) instanceof Cluster;
}

/** The servers that hold the data: one, or the masters of a cluster, which its client knows once it is connected. */
export async function mastersOf(redis: Redis): Promise<Redis[]> {
  const client: unknown = redis;
  if (!(client instanceof Cluster)) return [redis];
  if (client.status !== 'ready') await client.ping();
  return client.nodes('master');
}

/** What each of `mastersOf` answers. */
export async function ofEachMaster<T>(redis: Redis, ask: (node: Redis) => Promise<T>): Promise<T[]> {
  return Promise.all((await mastersOf(redis)).map(ask));
}

/**
 * Waits until Redis answers a PING.
 *
 * @throws RedisUnavailableError after `timeoutMs`, with what went wrong (refused, wrong password, …)
 */
export async function checkRedis(redis: Redis, timeoutMs = 5000): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unavailable(redis, `no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    await Promise.race([redis.ping(), late]);
  } catch (error) {
    throw error instanceof RedisUnavailableError ? error : unavailable(redis, 'refuses commands', error);
  } finally {
    clearTimeout(timer);
  }
}

function unavailable(redis: Redis, what: string, error?: unknown): RedisUnavailableError {
  const known = targets.get(redis);
  const cause = error ?? known?.lastError;
  const detail = cause instanceof Error ? ` (${describe(cause)})` : '';
  return new RedisUnavailableError(known?.target.address ?? 'an unknown address', what + detail, { cause });
}

/**
 * Node's connection errors may have an empty message and say more in their
 * code; a cluster's client says only beside its error what a node answered.
 */
function describe(error: Error): string {
  const { lastNodeError } = error as { lastNodeError?: Error | null };
  if (lastNodeError) return `no node of the cluster can be used: ${describe(lastNodeError)}`;
  return error.message || (error as NodeJS.ErrnoException).code || error.name;
}

/** Pause before a new try to connect: for ever, up to two seconds. */
const always = (times: number) => Math.min(50 * 2 ** Math.min(times, 6), 2000);

function open(target: RedisTarget, connectionName: string): Redis {
  const { username, password, db, tls } = target;
  const shared = {
    protocol: 2,
    username,
    password,
    tls: tls ? {} : undefined,
    connectionName,
    connectTimeout: 5000,
    // A machine that died sends nothing, not even an end of the connection. No command of ours blocks so long.
    socketTimeout: 20_000,
    maxRetriesPerRequest: null,
    // After a failover the old master answers READONLY: find the new one and send the command there.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 2 : false),
  } satisfies RedisOptions;
  if (target.kind === 'cluster') return openCluster(target, shared);
  const single = { ...shared, db, lazyConnect: true, retryStrategy: always } satisfies RedisOptions;
  if (target.kind === 'path') return new Redis({ ...single, path: target.path });
  if (target.kind === 'single') return new Redis({ ...single, ...target.nodes[0]! });
  return new Redis({
    ...single,
    sentinels: target.nodes,
    name: target.master,
    sentinelUsername: target.sentinelUsername,
    sentinelPassword: target.sentinelPassword,
    // Not failoverDetector: in ioredis 6.0.0 it ends the client for good when the
    // failover is announced while it looks for the master. READONLY tells us as well.
    sentinelRetryStrategy: always,
  });
}

function openCluster(target: RedisTarget, redisOptions: RedisOptions): Redis {
  const options: ClusterOptions = {
    redisOptions,
    lazyConnect: true,
    clusterRetryStrategy: always,
    slotsRefreshTimeout: 5000,
    // A failover takes a node timeout (15 s by default): keep asking that long.
    maxRedirections: 100,
    retryDelayOnFailover: 200,
    retryDelayOnClusterDown: 200,
  };
  return new Cluster(target.nodes, options) as unknown as Redis;
}

/** One line when the connection is lost, one when it is back; ioredis would report every try. */
function watch(redis: Redis, target: RedisTarget, log: Log): Redis {
  const state: { target: RedisTarget; log: Log; lastError?: Error } = { target, log };
  targets.set(redis, state);
  const address = target.address;
  redis.on('error', (error: Error) => {
    if (state.lastError === undefined) {
      log.warn({ redis: address, error: describe(error) }, 'Redis is out of reach; trying again');
    }
    state.lastError = error;
  });
  redis.on('ready', () => {
    if (state.lastError !== undefined) log.info({ redis: address }, 'Redis is back');
    delete state.lastError;
  });
  return redis;
}
