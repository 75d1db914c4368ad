import { databasePool, MigrationMismatchError, type Pool, pendingMigrations } from '@headwater/database';
import { createIdentity } from '@headwater/identity';
import { type Context, sleep, startOpsServer, supervise } from '@headwater/ops';
import { checkRedis, connect, lagMetrics, type Redis, streamMetrics, whileAllowed } from '@headwater/streams';
import { XrpcClient } from '@headwater/xrpc';
import { askAbsent } from './absent.ts';
import { followDepartures } from './departures.ts';
import { sendGaps } from './gaps.ts';
import { refreshHandles, verifyHandles } from './handles.ts';
import { consumeSource, type LaneContext, sourcesOf } from './lanes.ts';
import { IndexerMetrics } from './metrics.ts';
import { collectOld, findLost } from './upkeep.ts';

/** Connections beside those of the lanes: gaps, upkeep, departures, handles (two lanes), samples, the readiness check. */
const sideConnections = 8;
/** Longest wait of a dependency's answer before /readyz says so, in ms. */
const readyMs = 2_000;

/** Runs the service until the signal aborts: batches in hand are finished, the rest goes back to the streams. */
export async function runIndexer(context: Context<'indexer'>): Promise<void> {
  const { settings, signal, log, metrics } = context;
  const sources = sourcesOf(settings);
  const redis = connect(settings.redisUrl, { name: 'headwater-indexer', log });
  const pool = databasePool({
    url: settings.databaseUrl,
    schema: settings.databaseSchema,
    max: sources.reduce((sum, source) => sum + source.lanes, sideConnections),
    applicationName: 'headwater indexer',
  });
  const state = { migrated: false };
  try {
    await using _ops = await startOpsServer({
      port: settings.metricsPort,
      host: settings.metricsHost,
      metrics,
      log,
      ready: () => ready(redis, pool, state.migrated),
    });
    lagMetrics(
      metrics,
      redis,
      sources.map(({ stream, group }) => ({ stream, group })),
    );
    const waiting = (until: AbortSignal) => untilMigrated(context, pool, until);
    await superviseOnce('migrations', waiting, context);
    state.migrated = !signal.aborted;
    await runTasks(context, pool, redis);
  } finally {
    await pool.end();
    redis.disconnect();
  }
}

/** Everything that runs side by side; each is started again when it fails. */
async function runTasks(context: Context<'indexer'>, pool: Pool, redis: Redis): Promise<void> {
  const { settings, signal, log, metrics } = context;
  const own = new IndexerMetrics(metrics);
  const lane: LaneContext = {
    settings,
    redis,
    pool,
    log,
    metrics: own,
    streamMetrics: streamMetrics(metrics),
  };
  await using client = new XrpcClient({
    contact: settings.contact,
    allowPrivateAddresses: settings.allowPrivateAddresses,
  });
  const identity = createIdentity({ client, store: redis, metrics, settings });
  const sources = sourcesOf(settings);
  const tasks = sources.map((source) => {
    const what = source.kind === 'backfill' ? 'indexer-backfill' : 'indexer-live';
    const consumed = (until: AbortSignal) => consumeSource(lane, source, until);
    const allowed = (until: AbortSignal) => whileAllowed({ redis, what, signal: until, log }, consumed);
    return supervise(source.stream, allowed, { signal, log, metrics });
  });
  if (sources.some(({ kind }) => kind === 'live')) {
    const gaps = { pool, redis, log, metrics: own, graceMs: settings.gapGraceMs };
    tasks.push(supervise('gaps', (until) => sendGaps(gaps, until), { signal, log, metrics }));
    const upkeep = { pool, redis, log, metrics: own };
    tasks.push(supervise('tombstones', (until) => collectOld(upkeep, until), { signal, log, metrics }));
    tasks.push(supervise('absent-accounts', (until) => askAbsent(upkeep, until), { signal, log, metrics }));
    tasks.push(supervise('lost-fetches', (until) => findLost(upkeep, until), { signal, log, metrics }));
    const departures = { pool, identities: identity.identities, client, log, metrics: own };
    const depart = (until: AbortSignal) => followDepartures(departures, until);
    tasks.push(supervise('departures', depart, { signal, log, metrics }));
  }
  if (settings.handleConcurrency > 0 && sources.some(({ kind }) => kind !== 'labels')) {
    const handles = { pool, ...identity, log, metrics: own, concurrency: settings.handleConcurrency };
    tasks.push(supervise('handles', (until) => verifyHandles(handles, until), { signal, log, metrics }));
    const aged = { maxAgeMs: settings.handleMaxAgeMs, perSecond: settings.handleRefreshRate };
    const refresh = (until: AbortSignal) => refreshHandles(handles, aged, until);
    if (aged.maxAgeMs > 0) tasks.push(supervise('aged-handles', refresh, { signal, log, metrics }));
  }
  await Promise.all(tasks);
}

/** Waits for the one-shot command that migrates; never migrates by itself. */
async function untilMigrated(
  { settings, log }: Context<'indexer'>,
  pool: Pool,
  signal: AbortSignal,
): Promise<void> {
  let told = false;
  while (!signal.aborted) {
    const missing = await pendingMigrations(pool, settings.databaseSchema);
    if (missing.length === 0) return;
    if (!told) log.warn({ missing }, 'the database lacks migrations; waiting for `headwater migrate`');
    told = true;
    await sleep(1_000, signal);
  }
}

/** As supervise, for a task that is done when it resolves. */
async function superviseOnce(
  name: string,
  task: (signal: AbortSignal) => Promise<void>,
  { signal, log, metrics }: Context<'indexer'>,
): Promise<void> {
  const done = new AbortController();
  const once = async (until: AbortSignal) => {
    await task(until);
    done.abort();
  };
  const isFatal = (err: unknown) => err instanceof MigrationMismatchError;
  await supervise(name, once, { signal: AbortSignal.any([signal, done.signal]), log, metrics, isFatal });
}

async function ready(redis: Redis, pool: Pool, migrated: boolean): Promise<Record<string, true | string>> {
  const [redisReady, databaseReady] = await Promise.all([
    said(checkRedis(redis, readyMs)),
    said(pool.query('SELECT 1')),
  ]);
  return {
    redis: redisReady,
    postgresql: databaseReady,
    migrations: migrated || 'the database lacks migrations',
  };
}

function said(check: Promise<unknown>): Promise<true | string> {
  return check.then(
    () => true as const,
    (error: Error) => error.message,
  );
}
