import { decodeEvents, encodeRepoJob, type RepoJob, type StreamEvent } from '@headwater/events';
import { createLogger, loadSettings, Metrics } from '@headwater/ops';
import { connect, keysOf, type Redis } from '@headwater/streams';
import { expect } from 'vitest';
import { keyOf } from '../../../../test/support/redis.ts';
import { runBackfiller, type Tuning } from '../service.ts';

export interface HarnessOptions {
  redisUrl: string;
  databaseUrl: string;
  plcUrl: string;
  env?: Record<string, string>;
  tuning?: Tuning;
}

/** The backfiller in this process, its input and its output. */
export class Harness implements AsyncDisposable {
  readonly redis: Redis;
  readonly metrics = new Metrics('repo-backfiller');
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  readonly #options: HarnessOptions;
  #port = 0;

  constructor(options: HarnessOptions) {
    this.#options = options;
    this.redis = connect(options.redisUrl);
  }

  /** The environment of a process of its own. */
  get env(): Record<string, string> {
    const { redisUrl, databaseUrl, plcUrl, env } = this.#options;
    return {
      REDIS_URL: redisUrl,
      DATABASE_URL: databaseUrl,
      PLC_URL: plcUrl,
      METRICS_PORT: '0',
      LOG_LEVEL: 'silent',
      HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
      BACKFILLER_HOST_REQUESTS_PER_SECOND: '1000',
      BACKFILLER_RETRY_BASE_MS: '50',
      BACKFILLER_RETRY_MAX_MS: '200',
      BACKFILLER_MAX_ATTEMPTS: '3',
      ...env,
    };
  }

  start(): this {
    const settings = loadSettings('repo-backfiller', this.env);
    const context = {
      settings: { ...settings, metricsPort: 0 },
      log: createLogger('repo-backfiller', settings.logLevel),
      metrics: this.metrics,
      signal: this.#stop.signal,
    };
    this.#running = runBackfiller(context, {
      graceMs: 300,
      baseParkMs: 50,
      maxParkMs: 200,
      onListening: (port) => {
        this.#port = port;
      },
      ...this.#options.tuning,
    });
    return this;
  }

  async add(...jobs: Partial<RepoJob>[]): Promise<void> {
    const pipeline = this.redis.pipeline();
    for (const job of jobs) {
      const fields = encodeRepoJob({ did: '', host: 'relay', rev: '', active: true, ...job });
      pipeline.xadd('repo_backfill', '*', ...Object.entries(fields).flat());
    }
    for (const [error] of (await pipeline.exec())!) if (error) throw error;
  }

  /** Waits until no entry is waiting, in hand or put off. */
  async idle(): Promise<void> {
    const { stream, urgent, later } = keysOf(this.redis, 'repo_backfill');
    await expect
      .poll(
        async () => {
          const [a, b, c] = await Promise.all([
            this.redis.xlen(stream),
            this.redis.xlen(urgent),
            this.redis.zcard(later),
          ]);
          return a + b + c;
        },
        { timeout: 60_000, interval: 20 },
      )
      .toBe(0);
  }

  /** Everything in the output stream, by entry. */
  async output(): Promise<StreamEvent[][]> {
    const entries = await this.redis.xrange('firehose_backfill', '-', '+');
    return entries.map(([, fields]) => decodeEvents({ [fields[0]!]: fields[1]! }));
  }

  /** `type path` of each event sent of a repo. */
  async sentOf(did: string): Promise<string[]> {
    const events = (await this.output()).flat().filter((event) => event.did === did);
    return events.map((e) => ('rkey' in e ? `${e.type} ${e.collection}/${e.rkey}` : e.type));
  }

  /** Dead letters: their reasons, by DID (by id where there is none). */
  async dead(): Promise<Record<string, string>> {
    const letters = await this.redis.xrange(keyOf('repo_backfill:dead'), '-', '+');
    return Object.fromEntries(
      letters.map(([id, flat]) => {
        const value = (name: string) => flat[flat.indexOf(name) + 1]!;
        const did = /did:[a-z]+:[^"]+/.exec(value('repo'))?.[0];
        return [did ?? id, value('reason')];
      }),
    );
  }

  /** A counter's value, with the labels given. */
  async count(name: string, labels: Record<string, string> = {}): Promise<number> {
    const metric = await this.metrics.registry.getSingleMetric(`headwater_${name}`)?.get();
    const values = metric?.values.filter((v) => Object.entries(labels).every(([k, x]) => v.labels[k] === x));
    return values?.reduce((sum, v) => sum + v.value, 0) ?? 0;
  }

  /** What /readyz says of each dependency. */
  async ready(): Promise<Record<string, true | string>> {
    const response = await fetch(`http://127.0.0.1:${this.#port}/readyz`);
    return ((await response.json()) as { parts: Record<string, true | string> }).parts;
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopped by the test'));
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.redis.disconnect();
  }
}
