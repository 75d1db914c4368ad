import { databasePool, type Pool } from '@headwater/database';
import { createLogger, loadSettings, Metrics, type Service } from '@headwater/ops';
import { connect, keysOf, type Redis } from '@headwater/streams';
import { expect } from 'vitest';
import { runIndexer } from '../../services/indexer/src/index.ts';
import { runIngester } from '../../services/ingester/src/index.ts';
import { runBackfiller } from '../../services/repo-backfiller/src/index.ts';
import { compareWithTruth } from '../disorder/compare.ts';
import { untilQuiet } from '../disorder/quiet.ts';
import { createNetwork, type Network, type NetworkOptions } from '../simulator/index.ts';
import { createDatabase, startRedis, type TestDatabase } from '../support/index.ts';

export type Name = Extract<Service, 'ingester' | 'repo-backfiller' | 'indexer'>;

/** Nobody on loopback has to be spared, and a test can't wait for minutes. */
const quick = {
  HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
  INGESTER_RELIST_MS: '200',
  INGESTER_HOSTS_RELIST_MS: '2000',
  INGESTER_IDLE_MS: '5000',
  BACKFILLER_HOST_REQUESTS_PER_SECOND: '1000',
  BACKFILLER_HOST_CONCURRENCY: '100',
  BACKFILLER_RETRY_BASE_MS: '50',
  BACKFILLER_RETRY_MAX_MS: '300',
  INDEXER_BATCH_TIMEOUT_MS: '5',
  INDEXER_GAP_GRACE_MS: '300',
};
const pause = { baseMs: 20, maxMs: 100 };

/** One server or a cluster: what a world needs to know of its Redis. */
interface RedisPlace {
  readonly url: string;
  stop(): Promise<void>;
}

interface Run {
  stop: AbortController;
  done: Promise<void>;
}

/**
 * A simulated network and the three services over real Redis and PostgreSQL,
 * in this process, so that a test can stop and start each of them.
 */
export class World implements AsyncDisposable {
  readonly network: Network;
  readonly server: RedisPlace;
  readonly database: TestDatabase;
  readonly redis: Redis;
  readonly pool: Pool;
  readonly metrics: Record<Name, Metrics>;
  readonly #env: Record<string, string>;
  readonly #running = new Map<Name, Run>();

  private constructor(
    network: Network,
    server: RedisPlace,
    database: TestDatabase,
    env: Record<string, string>,
  ) {
    this.network = network;
    this.server = server;
    this.database = database;
    this.redis = connect(server.url);
    this.pool = databasePool({ url: database.url, max: 3, applicationName: 'test' });
    this.#env = env;
    const names: Name[] = ['ingester', 'repo-backfiller', 'indexer'];
    this.metrics = Object.fromEntries(names.map((name) => [name, new Metrics(name)])) as World['metrics'];
  }

  static async create(
    options: NetworkOptions,
    env: Record<string, string> = {},
    start: () => Promise<RedisPlace> = startRedis,
  ): Promise<World> {
    const [network, server, database] = await Promise.all([
      createNetwork({ hosts: 3, recordsPerRepo: 8, clock: 'wall', ...options }),
      start(),
      createDatabase(),
    ]);
    return new World(network, server, database, env);
  }

  start(...names: Name[]): void {
    for (const name of names.length > 0 ? names : (Object.keys(this.metrics) as Name[])) {
      const stop = new AbortController();
      this.#running.set(name, { stop, done: this.#run(name, stop.signal) });
    }
  }

  async stop(...names: Name[]): Promise<void> {
    const all = names.length > 0 ? names : [...this.#running.keys()];
    await Promise.all(
      all.map(async (name) => {
        const run = this.#running.get(name);
        this.#running.delete(name);
        run?.stop.abort(new Error('stopped by the test'));
        await run?.done;
      }),
    );
  }

  /** Waits until nothing is left to do anywhere. */
  quiet(ms = 60_000): Promise<void> {
    const { redis, network, database } = this;
    return untilQuiet({ redis, network, databaseUrl: database.url, check: () => {}, ms });
  }

  /** What the tables say that is not true, or lack. */
  differences(): Promise<string[]> {
    return compareWithTruth(this.database.url, this.network);
  }

  async rows<T = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<T[]> {
    return (await this.pool.query(sql, values)).rows as T[];
  }

  /** Records of an account that are in the tables. */
  async records(did: string): Promise<string[]> {
    const rows = await this.rows<{ uri: string }>('SELECT uri FROM record WHERE did = $1 ORDER BY uri', [
      did,
    ]);
    return rows.map(({ uri }) => uri);
  }

  /** A metric, summed over the labels that are not given. */
  async metric(service: Name, name: string, labels: Record<string, string> = {}): Promise<number> {
    const found = await this.metrics[service].registry.getSingleMetric(`headwater_${name}`)?.get();
    const wanted = Object.entries(labels);
    return (found?.values ?? [])
      .filter(({ labels: own }) =>
        wanted.every(([key, value]) => (own as Record<string, unknown>)[key] === value),
      )
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** Waits until every event of the relays is read and the live stream is empty. */
  async drained(): Promise<void> {
    const live = keysOf(this.redis, 'firehose_live');
    await eventually(async () => {
      const open = this.network.fleet.relays.map(async ({ server, firehose }) => {
        const cursor = await this.redis.get(live.cursor(server.url));
        return Number(cursor) - firehose.feed.newest;
      });
      return [...(await Promise.all(open)), await this.redis.xlen(live.stream)].every((n) => n === 0);
    }).toBe(true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.redis.disconnect();
    await this.pool.end();
    await this.database.drop();
    await Promise.all([this.network.close(), this.server.stop()]);
  }

  #run(name: Name, signal: AbortSignal): Promise<void> {
    const { network, server, database } = this;
    const env = {
      ...quick,
      REDIS_URL: server.url,
      DATABASE_URL: database.url,
      PLC_URL: network.plcUrl,
      HANDLE_RESOLVER_URL: network.relayUrl,
      INGESTER_RELAY_HOSTS: network.relayUrls.join(','),
      INGESTER_LABELER_HOSTS: network.labelers.map(({ did }) => did).join(',') || ',',
      ...this.#env,
    };
    const log = createLogger(name, process.env['LOG_LEVEL'] ?? 'silent');
    const base = { log, metrics: this.metrics[name], signal };
    switch (name) {
      case 'ingester': {
        const settings = { ...loadSettings('ingester', env), metricsPort: 0 };
        return runIngester({ ...base, settings }, { pause, pollMs: 20 });
      }
      case 'repo-backfiller': {
        const settings = { ...loadSettings('repo-backfiller', env), metricsPort: 0 };
        return runBackfiller(
          { ...base, settings },
          { baseParkMs: 50, maxParkMs: 200, directoryLaterMs: 200 },
        );
      }
      case 'indexer': {
        const settings = { ...loadSettings('indexer', env), metricsPort: 0 };
        return runIndexer({ ...base, settings });
      }
    }
  }
}

/** What will hold soon; patient, since the machine may be busy. */
export function eventually<T>(look: () => T | Promise<T>) {
  return expect.poll(look, { timeout: 40_000, interval: 25 });
}
