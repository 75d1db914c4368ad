import { hostname } from 'node:os';
import { databasePool } from '@headwater/database/pool';
import { collectionFilter, type RepoJob } from '@headwater/events';
import { createIdentity } from '@headwater/identity';
import { type Context, type Logger, type Metrics, startOpsServer, supervise } from '@headwater/ops';
import {
  connect,
  consume,
  keysOf,
  lagMetrics,
  Producer,
  type Redis,
  type StreamMetrics,
  streamMetrics,
  whileAllowed,
} from '@headwater/streams';
import { XrpcClient } from '@headwater/xrpc';
import type { FetchContext } from './fetch-repo.ts';
import { decodeJob } from './job.ts';
import { HostLanes } from './lanes/host-lanes.ts';
import { MemoryBudget } from './memory-budget.ts';
import { BackfillerMetrics } from './metrics.ts';
import { partLimits } from './parts.ts';
import { isFatal, type Migrated, ready, untilMigrated } from './ready.ts';
import { Slots } from './slots.ts';
import { RepoStore } from './store.ts';
import { cleanTmpFolder } from './tmp-folder.ts';
import { Worker } from './worker.ts';

type Settings = Context<'repo-backfiller'>['settings'];

/** What tests set otherwise than operators. */
export interface Tuning {
  /** How long a host may be too slow in one stretch, in ms. */
  graceMs?: number;
  /** First and longest pause of a host that fails, in ms. */
  baseParkMs?: number;
  maxParkMs?: number;
  claimIdleMs?: number;
  /** How long entries are put off without the PLC directory. */
  directoryLaterMs?: number;
  /** Hears of the port of /metrics and /readyz. */
  onListening?: (port: number) => void;
}

/** Who reads the output stream. */
const OUTPUT_GROUP = 'firehose_group';
/** Fetches that may wait for slow hosts, for each that is at work: a socket and a little memory each. */
const LENT_A_SLOT = 5;
/** Nothing can be fetched without the PLC directory. */
const DIRECTORY_LATER_MS = 15_000;
/** What is left of the drain for handing entries back. */
const HAND_BACK_MS = 5_000;

/** Runs the service until the signal aborts; what is unfinished then goes back to the stream. */
export async function runBackfiller(
  { settings, signal, log, metrics }: Context<'repo-backfiller'>,
  tuning: Tuning = {},
): Promise<void> {
  const redis = connect(settings.redisUrl, { name: 'headwater-repo-backfiller', log });
  const pool = databasePool({
    url: settings.databaseUrl,
    schema: settings.databaseSchema,
    max: Math.min(settings.concurrency + 2, 12),
    applicationName: 'headwater repo-backfiller',
  });
  const store = new RepoStore(pool);
  const migrated: Migrated = { yet: false };
  try {
    await using ops = await startOpsServer({
      port: settings.metricsPort,
      host: settings.metricsHost,
      metrics,
      log,
      ready: () => ready(redis, pool, migrated),
    });
    tuning.onListening?.(ops.port);
    await using client = new XrpcClient({
      contact: settings.contact,
      allowPrivateAddresses: settings.allowPrivateAddresses,
    });
    await using lanes = lanesOf(settings, redis, metrics, tuning);
    const { inputStream, consumerGroup, outputStream } = settings;
    const { urgent } = keysOf(redis, inputStream);
    lagMetrics(metrics, redis, [
      ...[urgent, inputStream].map((stream) => ({ stream, group: consumerGroup })),
      { stream: outputStream, group: OUTPUT_GROUP },
    ]);
    const streams = streamMetrics(metrics);
    const context = await contextOf({ settings, redis, store, client, lanes, log, metrics, streams, tuning });
    const task = async (until: AbortSignal) => {
      await untilMigrated(pool, settings.databaseSchema, migrated, { signal: until, log });
      const pulling = (allowed: AbortSignal) =>
        pull({ settings, redis, context, log, streams, tuning }, allowed);
      await whileAllowed({ redis, what: 'repo-backfiller', signal: until, log }, pulling);
    };
    await supervise('repos', task, { signal, log, metrics, isFatal });
  } finally {
    await pool.end();
    redis.disconnect();
  }
}

function lanesOf(settings: Settings, redis: Redis, metrics: Metrics, tuning: Tuning): HostLanes {
  return new HostLanes({
    redis,
    prefix: settings.inputStream,
    concurrency: settings.hostConcurrency,
    requestsPerSecond: settings.hostRequestsPerSecond,
    metrics,
    ...(tuning.baseParkMs !== undefined && { baseParkMs: tuning.baseParkMs }),
    ...(tuning.maxParkMs !== undefined && { maxParkMs: tuning.maxParkMs }),
  });
}

interface Parts {
  settings: Settings;
  redis: Redis;
  store: RepoStore;
  client: XrpcClient;
  lanes: HostLanes;
  log: Logger;
  metrics: Metrics;
  streams: StreamMetrics;
  tuning: Tuning;
}

async function contextOf(parts: Parts): Promise<FetchContext> {
  const { settings, redis, store, client, lanes, log, metrics, streams, tuning } = parts;
  const { highWaterMark, highWaterBytes, maxRepoBytes, minBytesPerSecond, deadlineMs } = settings;
  const tmpFolder = await cleanTmpFolder(settings.tmpFolder);
  return {
    store,
    identities: createIdentity({ client, store: redis, metrics, settings }).identities,
    client,
    lanes,
    slots: slotsOf(settings, metrics),
    memory: new MemoryBudget(settings.memoryBytes, settings.spoolAboveBytes),
    producer: new Producer(redis, settings.outputStream, {
      highWaterMark,
      highWaterBytes,
      log,
      metrics: streams,
    }),
    metrics: new BackfillerMetrics(metrics),
    log,
    wanted: collectionFilter(settings.collections),
    limits: partLimits,
    download: { maxRepoBytes, minBytesPerSecond, graceMs: tuning.graceMs ?? 10_000, deadlineMs, tmpFolder },
    force: settings.force,
  };
}

function slotsOf({ concurrency }: Settings, metrics: Metrics): Slots {
  const slots = new Slots(concurrency, concurrency * LENT_A_SLOT);
  metrics.gauge(
    'backfiller_slots_lent',
    'Fetches that wait for a slow host and count for none of BACKFILLER_CONCURRENCY.',
    [],
    {
      collect() {
        this.set(slots.lent);
      },
    },
  );
  return slots;
}

interface Pull extends Pick<Parts, 'settings' | 'redis' | 'log' | 'streams' | 'tuning'> {
  context: FetchContext;
}

/** Takes entries and ends each: repos found out of step before those of an enumeration. */
async function pull({ settings, redis, context, log, streams, tuning }: Pull, signal: AbortSignal) {
  const { maxAttempts, retryBaseMs: base, retryMaxMs: max } = settings;
  const worker = new Worker({
    context,
    log,
    maxAttempts,
    retryMs: { base, max },
    directoryLaterMs: tuning.directoryLaterMs ?? DIRECTORY_LATER_MS,
    stopping: signal,
  });
  const { stream, urgent } = keysOf(redis, settings.inputStream);
  // More places than slots: entries that end without a fetch pass by those that wait for one.
  const places = settings.concurrency * (1 + LENT_A_SLOT) + settings.batchSize;
  await consume<RepoJob>({
    redis,
    stream: [urgent, stream],
    group: settings.consumerGroup,
    consumer: settings.consumerName ?? `${hostname()}-${process.pid}`,
    decode: decodeJob,
    write: ([entry], hard) => worker.take(entry!, hard),
    concurrency: places,
    maxAttempts,
    retryMs: { base, max },
    ...(tuning.claimIdleMs !== undefined && { claimIdleMs: tuning.claimIdleMs }),
    drainMs: Math.max(0, settings.drainMs - HAND_BACK_MS),
    signal,
    log,
    metrics: streams,
  });
}
