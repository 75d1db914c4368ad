/** A simulated network and the services that read it, each a process of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@headwater/streams';
import type { QueryResult, QueryResultRow } from 'pg';
import type { NetworkOptions } from '../simulator/network.ts';
import { type RemoteNetwork, startRemoteNetwork } from '../simulator/remote.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type RunningService, type ServiceName, spawnService } from '../support/services.ts';
import { until } from '../support/wait.ts';
import { type BenchPostgres, onDatabase, startBenchPostgres } from './database.ts';

export interface Pipeline extends AsyncDisposable {
  readonly postgres: BenchPostgres;
  readonly redis: TestRedis;
  readonly network: RemoteNetwork;
  /** Of the database. */
  readonly url: string;
  /** Repos whose CARs lie ready in files. */
  readonly listed: number;
  readonly services: readonly RunningService[];
  /** Starts the services, so many copies of each, and waits until all but the ingesters are ready. */
  start(copies?: number): Promise<void>;
  /** Starts one service, and waits until it is ready. */
  run(name: ServiceName, env?: Record<string, string>): Promise<void>;
  /** Asks the database. */
  query<T extends QueryResultRow>(sql: string): Promise<QueryResult<T>>;
  /** Ends the services and gives them an empty database and an empty Redis for the next start. */
  reset(): Promise<void>;
}

/**
 * The services as docker-compose.prod.yml runs them: the live streams have an
 * indexer of their own. Readers first: nobody waits for Node's start when the
 * first repo is listed.
 */
const PROGRAMS: readonly { name: ServiceName; env?: Record<string, string> }[] = [
  { name: 'indexer', env: { INDEXER_MODE: 'all', INDEXER_STREAMS: 'firehose_live,label_live' } },
  { name: 'indexer', env: { INDEXER_MODE: 'backfill' } },
  { name: 'repo-backfiller' },
  { name: 'ingester' },
];
const DATABASE = 'bench_pipeline';

export async function startPipeline(options: {
  network: NetworkOptions;
  env?: Record<string, string>;
  /** Whether the CARs are made beforehand. */
  prepare?: boolean;
}): Promise<Pipeline> {
  await using stack = new AsyncDisposableStack();
  const carFolder = await mkdtemp(join(tmpdir(), 'headwater-cars-'));
  stack.defer(() => rm(carFolder, { recursive: true, force: true }));
  const postgres = stack.use(await startBenchPostgres());
  const redis = stack.use(await startRedis({ aof: true }));
  const size = { carFolder, cachedRecords: 0, ...options.network };
  const network = stack.use(await startRemoteNetwork(size));
  const listed = options.prepare === false ? 0 : await network.call<number>('prepare');
  const url = await postgres.create(DATABASE);
  const services: RunningService[] = [];
  stack.defer(() => end(services));
  const env = { ...settingsOf(network), ...options.env };
  const place = { redisUrl: redis.url, databaseUrl: url, plcUrl: network.addresses.plcUrl };
  const kept = stack.move();
  return {
    ...{ postgres, redis, network, url, listed, services },
    async start(copies = 1) {
      for (const { name, env: own } of PROGRAMS) {
        // The last one sets everything going: whoever started it wants to see that.
        const isLast = name === 'ingester';
        for (let i = 0; i < copies; i++) {
          services.push(await spawnService(name, { ...place, env: { ...env, ...own } }));
        }
        if (!isLast) await Promise.all(services.map((service) => service.ready()));
      }
    },
    async run(name, own) {
      const service = await spawnService(name, { ...place, env: { ...env, ...own } });
      services.push(service);
      await service.ready();
    },
    query: (sql) => onDatabase(url, (client) => client.query(sql)),
    async reset() {
      await end(services);
      await emptied(redis.url);
      await postgres.create(DATABASE);
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function emptied(redisUrl: string): Promise<void> {
  const redis = connect(redisUrl, { name: 'bench' });
  await redis.flushall();
  redis.disconnect();
}

async function end(services: RunningService[]): Promise<void> {
  await Promise.all(services.splice(0).map((service) => service.stop()));
}

/** A network on loopback spares nobody, and a PDS of the simulator is not to be waited for. */
export function settingsOf({ addresses }: RemoteNetwork): Record<string, string> {
  return {
    INGESTER_RELAY_HOSTS: addresses.relayUrl,
    INGESTER_HOSTS_FROM_RELAY: 'false',
    BACKFILLER_HOST_REQUESTS_PER_SECOND: '100000',
    BACKFILLER_HOST_CONCURRENCY: '50',
    LOG_LEVEL: 'warn',
  };
}

/** Waits for the first repo in `repo_backfill`. */
export function untilListing(redisUrl: string): Promise<void> {
  return untilAdded(redisUrl, 'repo_backfill', 'the ingester lists repos');
}

/** Waits for the first entry in `firehose_live`, and has the network do something until then. */
export function untilListening({ redis, network }: Pipeline): Promise<void> {
  return untilAdded(redis.url, 'firehose_live', 'the ingester listens', () => network.run(1));
}

async function untilAdded(redisUrl: string, stream: string, what: string, act?: () => Promise<unknown>) {
  const redis = connect(redisUrl, { name: 'bench' });
  try {
    await until(what, async () => {
      await act?.();
      if ((await redis.exists(stream)) === 0) return false;
      const list = (await redis.xinfo('STREAM', stream)) as (string | number)[];
      return Number(list[list.indexOf('entries-added') + 1]) > 0;
    });
  } finally {
    redis.disconnect();
  }
}

/** How many repos are complete. */
export async function completeRepos(url: string): Promise<number> {
  const { rows } = await onDatabase(url, (client) =>
    client.query<{ n: number }>(`SELECT count(*)::int AS n FROM headwater.repo WHERE state = 'complete'`),
  );
  return rows[0]!.n;
}
