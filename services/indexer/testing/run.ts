import { databasePool, type Pool } from '@headwater/database';
import { createLogger, loadSettings, Metrics } from '@headwater/ops';
import { connect, type Fields, lagOf, type Redis } from '@headwater/streams';
import {
  createDatabase,
  startRedis,
  type TestDatabase,
  type TestRedis,
} from '../../../test/support/index.ts';
import { runIndexer } from '../src/index.ts';

/** A Redis, a database and an indexer over both, in this process. */
export class World implements AsyncDisposable {
  readonly server: TestRedis;
  readonly database: TestDatabase;
  readonly redis: Redis;
  readonly pool: Pool;
  readonly metrics = new Metrics('indexer');
  #stop = new AbortController();
  #running: Promise<void> | undefined;

  private constructor(server: TestRedis, database: TestDatabase) {
    this.server = server;
    this.database = database;
    this.redis = connect(server.url);
    this.pool = databasePool({ url: database.url, max: 3, applicationName: 'test' });
  }

  /** @param template of the database: `template0` for one without our tables */
  static async create(template?: string): Promise<World> {
    const [server, database] = await Promise.all([startRedis(), createDatabase(template)]);
    return new World(server, database);
  }

  start(env: Record<string, string> = {}): void {
    const settings = loadSettings('indexer', {
      REDIS_URL: this.server.url,
      DATABASE_URL: this.database.url,
      INDEXER_HANDLE_CONCURRENCY: '0',
      INDEXER_BATCH_TIMEOUT_MS: '5',
      ...env,
    });
    this.#stop = new AbortController();
    const log = createLogger('indexer', 'silent');
    this.#running = runIndexer({
      signal: this.#stop.signal,
      log,
      metrics: this.metrics,
      settings: { ...settings, metricsPort: 0 },
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#running = undefined;
  }

  async add(stream: string, fields: Fields): Promise<void> {
    await this.redis.xadd(stream, '*', ...Object.entries(fields).flat());
  }

  /** Resolves when the streams are empty and nothing is pending. */
  async drained(): Promise<void> {
    const streams = [
      ['firehose_live', 'firehose_group'],
      ['firehose_backfill', 'firehose_group'],
      ['label_live', 'label_group'],
    ] as const;
    await until(async () => {
      const lags = await Promise.all(streams.map(([stream, group]) => lagOf(this.redis, stream, group)));
      return lags.every(({ length, parked }) => length + parked === 0);
    });
  }

  async rows(sql: string): Promise<Record<string, unknown>[]> {
    return (await this.pool.query(sql)).rows;
  }

  /** The value of a metric with these labels. */
  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const { values } = (await this.metrics.registry.getSingleMetric(`headwater_${name}`)?.get()) ?? {
      values: [],
    };
    const matches = values.filter(({ labels: own }) =>
      Object.entries(labels).every(([key, value]) => (own as Record<string, unknown>)[key] === value),
    );
    return matches.reduce((sum, { value }) => sum + value, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running) await this.stop();
    this.redis.disconnect();
    await this.pool.end();
    await this.database.drop();
    await this.server.stop();
  }
}

/** Resolves when the condition holds; the test's timeout is its limit. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}
