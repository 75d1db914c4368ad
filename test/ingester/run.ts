import { decodeEvents, decodeLabels, decodeRepoJob, type RepoJob, type StreamEvent } from '@headwater/events';
import { createLogger, loadSettings, Metrics } from '@headwater/ops';
import { connect, type Redis } from '@headwater/streams';
import { expect, onTestFinished } from 'vitest';
import { runIngester } from '../../services/ingester/src/index.ts';
import { startRedis, type TestRedis } from '../support/index.ts';

/** A Redis for the tests of one file. */
export async function startStreams(options: { aof?: boolean } = {}): Promise<Streams> {
  return new Streams(await startRedis(options));
}

/** What the ingester has written. */
export class Streams implements AsyncDisposable {
  readonly server: TestRedis;
  readonly redis: Redis;

  constructor(server: TestRedis) {
    this.server = server;
    this.redis = connect(server.url);
  }

  async jobs(stream = 'repo_backfill'): Promise<RepoJob[]> {
    return (await this.entries(stream)).map(decodeRepoJob);
  }

  /** The events of each live entry. */
  async live(): Promise<StreamEvent[][]> {
    return (await this.entries('firehose_live')).map(decodeEvents);
  }

  async labels() {
    return (await this.entries('label_live')).flatMap(decodeLabels);
  }

  async entries(stream: string): Promise<Record<string, string>[]> {
    return (await this.redis.xrange(stream, '-', '+')).map(([, flat]) =>
      Object.fromEntries(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, flat[i + 1]!]] : []))),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.disconnect();
    await this.server.stop();
  }
}

export interface Running {
  metrics: Metrics;
  /** Value of a metric of the ingester or of its streams, summed over its labels but those given. */
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  stop(): Promise<void>;
}

/** Runs the service in this process, with pauses of milliseconds, until the test ends or `stop` is called. */
export function startIngester(redisUrl: string, env: Record<string, string>): Running {
  const settings = loadSettings('ingester', {
    REDIS_URL: redisUrl,
    INGESTER_RELAY_HOSTS: ',',
    INGESTER_LABELER_HOSTS: ',',
    INGESTER_BATCH_TIMEOUT_MS: '10',
    INGESTER_RELIST_MS: '100',
    INGESTER_LEASE_MS: '1000',
    // Whose documents are nobody's business here; signatures have tests of their own.
    INGESTER_VERIFY: 'structure',
    HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
    ...env,
  });
  const control = new AbortController();
  const metrics = new Metrics('ingester');
  const log = createLogger('test', process.env['LOG_LEVEL'] ?? 'silent');
  const context = { settings: { ...settings, metricsPort: 0 }, signal: control.signal, log, metrics };
  const done = runIngester(context, { pause: { baseMs: 5, maxMs: 50 }, pollMs: 10 });
  const stop = async () => {
    control.abort();
    await done;
  };
  onTestFinished(stop);
  const metric = (name: string, labels: Record<string, string> = {}) =>
    sum(metrics, name.startsWith('stream_') ? name : `ingester_${name}`, labels);
  return { metrics, metric, stop };
}

async function sum(metrics: Metrics, name: string, labels: Record<string, string>): Promise<number> {
  const { values = [] } = (await metrics.registry.getSingleMetric(`headwater_${name}`)?.get()) ?? {};
  const wanted = Object.entries(labels);
  return values
    .filter((value) => wanted.every(([label, is]) => (value.labels as Record<string, unknown>)[label] === is))
    .reduce((total, { value }) => total + value, 0);
}

/** What will hold soon; patient, since the machine may be busy. */
export function eventually<T>(look: () => T | Promise<T>) {
  return expect.poll(look, { timeout: 25_000, interval: 10 });
}
