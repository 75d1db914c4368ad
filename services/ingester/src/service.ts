import { createIdentity, type IdentityResolver } from '@headwater/identity';
import {
  type Context,
  type Logger,
  type Metrics,
  startOpsServer,
  supervise,
  untilAborted,
} from '@headwater/ops';
import {
  checkRedis,
  connect,
  Producer,
  type Redis,
  type StreamMetrics,
  streamMetrics,
} from '@headwater/streams';
import { hostKey, listRepos, listReposByCollection, XrpcClient } from '@headwater/xrpc';
import { sendDids } from './did-jobs.ts';
import { Enumeration, type EnumerationOptions } from './enumerate.ts';
import { filterOf } from './filter.ts';
import { followFirehose } from './firehose.ts';
import { hostKeys } from './keys.ts';
import { resolveLabeler } from './labeler.ts';
import { followLabels } from './labels.ts';
import { underLease } from './lease.ts';
import { type Feed, type IngesterMetrics, ingesterMetrics } from './metrics.ts';
import { Repairs } from './repairs.ts';
import { verifierOf } from './verify.ts';

type Settings = Context<'ingester'>['settings'];

/** What tests set otherwise than operators. */
export interface Tuning {
  /** First and longest pause between tries at a host, in milliseconds. */
  pause?: { baseMs: number; maxMs: number };
}

/** Labelers can be silent for long: dead is only what says nothing for ten times as long. */
const labelerPatience = 10;
const readyMs = 2_000;

/** What all tasks of the process share. */
interface Shared {
  settings: Settings;
  redis: Redis;
  client: XrpcClient;
  identities: IdentityResolver;
  repairs: Repairs;
  streams: StreamMetrics;
  metrics: IngesterMetrics;
  log: Logger;
  pause: { pause?: { baseMs: number; maxMs: number } };
}

interface Task {
  name: string;
  /** Stream and name of the lease under which exactly one copy of the service runs it. */
  stream: string;
  host: string;
  run: (signal: AbortSignal) => Promise<void>;
  /** Of a subscription: the service is ready when it is open, or another copy's. */
  feed?: Feed;
  state: 'starting' | 'standby' | 'running';
}

/** Runs the service until the signal aborts. What was not durable by then is read again by the next start. */
export async function runIngester(
  { settings, signal, log, metrics }: Context<'ingester'>,
  tuning: Tuning = {},
): Promise<void> {
  const redis = connect(settings.redisUrl, { name: 'headwater-ingester', log });
  try {
    await using client = new XrpcClient({
      contact: settings.contact,
      allowPrivateAddresses: settings.allowPrivateAddresses,
    });
    const shared = share({ settings, redis, client, log, metrics, tuning });
    const tasks = tasksOf(shared);
    await using _ops = await startOpsServer({
      port: settings.metricsPort,
      host: settings.metricsHost,
      metrics,
      log,
      ready: async () => ({ redis: await redisReady(redis), ...subscriptions(tasks, shared.metrics) }),
    });
    await Promise.all(tasks.map((task) => start(task, shared, signal, metrics)));
  } finally {
    redis.disconnect();
  }
}

function share({
  settings,
  redis,
  client,
  log,
  metrics,
  tuning,
}: Pick<Shared, 'settings' | 'redis' | 'client' | 'log'> & { metrics: Metrics; tuning: Tuning }): Shared {
  const own = ingesterMetrics(metrics);
  return {
    settings,
    redis,
    client,
    identities: createIdentity({ client, store: redis, metrics, settings }).identities,
    repairs: new Repairs(redis, settings.highWaterMark, own),
    streams: streamMetrics(metrics),
    metrics: own,
    log,
    pause: tuning.pause ? { pause: tuning.pause } : {},
  };
}

function start(task: Task, shared: Shared, signal: AbortSignal, metrics: Metrics): Promise<void> {
  const { redis, log, settings } = shared;
  const { lease: key } = hostKeys(redis, task.stream, task.host);
  const alone = (until: AbortSignal) => {
    const onHeld = (held: boolean) => {
      task.state = held ? 'running' : 'standby';
      if (!held && task.feed) shared.metrics.left(task.feed, task.host);
    };
    return underLease({ redis, key, ttlMs: settings.leaseMs, signal: until, log, onHeld }, task.run);
  };
  return supervise(task.name, alone, { signal, log, metrics });
}

/** By subscription: true, or what is missing. */
function subscriptions(tasks: Task[], metrics: IngesterMetrics): Record<string, true | string> {
  const states = tasks.flatMap(({ name, feed, host, state }) => {
    if (feed === undefined) return [];
    const ready = state === 'standby' || (state === 'running' && metrics.isOpen(feed, host));
    return [[name, ready ? (true as const) : 'not connected']];
  });
  return Object.fromEntries(states);
}

function tasksOf(shared: Shared): Task[] {
  const { mode } = shared.settings;
  const has = (part: Settings['mode']) => mode === 'all' || mode === part;
  return [
    // The live stream first: what happens while a repo waits to be fetched must not be missed.
    ...(has('firehose') ? firehoseTasks(shared) : []),
    ...(has('backfill') ? backfillTasks(shared) : []),
    ...(has('labels') ? labelTasks(shared) : []),
  ];
}

function firehoseTasks(shared: Shared): Task[] {
  const { settings, identities } = shared;
  const filter = filterOf(settings.collections, settings.dids);
  return settings.relayHosts.map((address): Task => {
    const host = hostKey(address);
    const run = (signal: AbortSignal) =>
      followFirehose(
        {
          ...common(shared, 'firehose_live'),
          host,
          address,
          filter,
          verifier: verifierOf(settings.verify),
          onIdentity: (did) => identities.drop(did),
          idleMs: settings.idleMs,
        },
        signal,
      );
    return {
      name: `firehose ${host}`,
      stream: 'firehose_live',
      host,
      run,
      feed: 'firehose',
      state: 'starting',
    };
  });
}

function labelTasks(shared: Shared): Task[] {
  const { settings, client, identities } = shared;
  return settings.labelerHosts.map((name): Task => {
    const host = hostKey(name);
    const run = async (signal: AbortSignal) => {
      const labeler = await resolveLabeler(name, { client, identities, signal });
      const idleMs = settings.idleMs * labelerPatience;
      await followLabels({ ...common(shared, 'label_live'), host, labeler, idleMs }, signal);
    };
    return { name: `labels ${host}`, stream: 'label_live', host, run, feed: 'labels', state: 'starting' };
  });
}

function backfillTasks(shared: Shared): Task[] {
  const { relayHosts, dids, listCollections } = shared.settings;
  if (dids.length > 0) return [didTask(shared)];
  return relayHosts.flatMap((address) => {
    const host = hostKey(address);
    if (listCollections.length === 0) {
      const read: EnumerationOptions['read'] = (cursor, limit, signal) =>
        listRepos(shared.client, address, { cursor, limit, signal, trusted: true });
      return [enumerationTask(shared, host, host, read)];
    }
    return listCollections.map((nsid) => {
      const read: EnumerationOptions['read'] = (cursor, limit, signal) =>
        listReposByCollection(shared.client, address, nsid, { cursor, limit, signal, trusted: true });
      return enumerationTask(shared, `${host}/${nsid}`, host, read);
    });
  });
}

function enumerationTask(shared: Shared, name: string, host: string, read: EnumerationOptions['read']): Task {
  const options = {
    ...common(shared, 'repo_backfill'),
    name,
    host,
    read,
    relistMs: shared.settings.relistMs,
  };
  const run = (signal: AbortSignal) => new Enumeration(options).run(signal);
  return { name: `list ${name}`, stream: 'repo_backfill', host: name, run, state: 'starting' };
}

function didTask(shared: Shared): Task {
  const { relayHosts, dids } = shared.settings;
  const address = relayHosts[0] ?? 'bsky.network';
  const options = { ...common(shared, 'repo_backfill'), address, host: hostKey(address), dids };
  const run = async (signal: AbortSignal) => {
    await sendDids(options, signal);
    await untilAborted(signal);
  };
  return { name: 'list of INGESTER_DIDS', stream: 'repo_backfill', host: '!dids', run, state: 'starting' };
}

function common(shared: Shared, stream: string) {
  const { settings, redis, client, repairs, streams, metrics, log, pause } = shared;
  const { highWaterMark, highWaterBytes, batchSize, batchTimeoutMs } = settings;
  const producer = new Producer(redis, stream, { highWaterMark, highWaterBytes, log, metrics: streams });
  const batch = { maxItems: batchSize, maxWaitMs: batchTimeoutMs };
  return { redis, client, producer, repairs, metrics, log, batch, ...pause };
}

async function redisReady(redis: Redis): Promise<true | string> {
  return checkRedis(redis, readyMs).then(
    () => true as const,
    (err: Error) => err.message,
  );
}
