/** A simulated network and the services that read it, each a process of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@headwater/streams';
import type { NetworkOptions } from '../simulator/network.ts';
import { type RemoteNetwork, startRemoteNetwork } from '../simulator/remote.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type RunningService, type ServiceName, spawnService } from '../support/services.ts';
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
  /** Starts the services, so many copies of each, and waits until they are ready. */
  start(copies?: number): Promise<void>;
  /** Ends the services. */
  stop(): Promise<void>;
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
}): Promise<Pipeline> {
  await using stack = new AsyncDisposableStack();
  const carFolder = await mkdtemp(join(tmpdir(), 'headwater-cars-'));
  stack.defer(() => rm(carFolder, { recursive: true, force: true }));
  const postgres = stack.use(await startBenchPostgres());
  const redis = stack.use(await startRedis({ aof: true }));
  const size = { carFolder, cachedRecords: 0, ...options.network };
  const network = stack.use(await startRemoteNetwork(size));
  const listed = await network.call<number>('prepare');
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
        for (let i = 0; i < copies; i++) {
          services.push(await spawnService(name, { ...place, env: { ...env, ...own } }));
        }
        await Promise.all(services.map((service) => service.ready()));
      }
    },
    stop: () => end(services),
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

/** How many repos are complete. */
export async function completeRepos(url: string): Promise<number> {
  const { rows } = await onDatabase(url, (client) =>
    client.query<{ n: number }>(`SELECT count(*)::int AS n FROM headwater.repo WHERE state = 'complete'`),
  );
  return rows[0]!.n;
}
