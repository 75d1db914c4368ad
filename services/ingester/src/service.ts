import { createIdentity } from '@headwater/identity';
import { type Context, type Metrics, startOpsServer, supervise } from '@headwater/ops';
import { checkRedis, connect, type Redis, streamMetrics, whileAllowed } from '@headwater/streams';
import { XrpcClient } from '@headwater/xrpc';
import { hostKeys } from './keys.ts';
import { underLease } from './lease.ts';
import { Doubles } from './live/doubles.ts';
import { type IngesterMetrics, ingesterMetrics } from './metrics.ts';
import { Repairs } from './repairs.ts';
import type { Shared, Task, Tuning } from './shared.ts';
import { tasksOf } from './tasks.ts';
import { createVerifier } from './verify/create.ts';

const readyMs = 2_000;

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
    const own = ingesterMetrics(metrics);
    const { identities } = createIdentity({ client, store: redis, metrics, settings });
    await using verifying = createVerifier({ settings, identities, redis, log, tuning });
    using repairs = new Repairs(redis, settings.highWaterMark, own, log);
    const { verifier, signatures } = verifying;
    const [doubles, streams] = [new Doubles(), streamMetrics(metrics)];
    const base = { settings, redis, client, identities, log, tuning };
    const shared: Shared = { ...base, verifier, signatures, doubles, repairs, streams, metrics: own };
    const tasks = tasksOf(shared);
    await using _ops = await startOpsServer({
      port: settings.metricsPort,
      host: settings.metricsHost,
      metrics,
      log,
      ready: async () => ({ redis: await redisReady(redis), ...subscriptions(tasks, own) }),
    });
    await Promise.all(tasks.map((task) => start(task, shared, signal, metrics)));
  } finally {
    redis.disconnect();
  }
}

function start(task: Task, shared: Shared, signal: AbortSignal, metrics: Metrics): Promise<void> {
  const { redis, log, settings } = shared;
  const { lease: key } = hostKeys(redis, task.stream, task.host);
  const alone = (until: AbortSignal) => {
    const onHeld = (held: boolean) => {
      task.state = held ? 'running' : 'standby';
    };
    return underLease({ redis, key, ttlMs: settings.leaseMs, signal: until, log, onHeld }, task.run);
  };
  const what = task.feed === undefined ? 'ingester-backfill' : (`ingester-${task.feed}` as const);
  const allowed = (until: AbortSignal) => {
    task.state = 'standby';
    return whileAllowed({ redis, what, signal: until, log }, alone);
  };
  return supervise(task.name, allowed, { signal, log, metrics });
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

async function redisReady(redis: Redis): Promise<true | string> {
  return checkRedis(redis, readyMs).then(
    () => true as const,
    (err: Error) => err.message,
  );
}
