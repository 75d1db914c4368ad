/**
 * The whole way: a simulated network in a process of its own, the three
 * services as processes, Redis and PostgreSQL. From the start of the services
 * to the last repo complete, against COPY of the rows that came of it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RemoteNetwork, startRemoteNetwork } from '../simulator/remote.ts';
import { startRedis } from '../support/redis.ts';
import { type RunningService, type ServiceName, spawnService } from '../support/services.ts';
import { until } from '../support/wait.ts';
import { copyRows, dumpRows, type RowFile } from './ceiling.ts';
import { type BenchPostgres, onDatabase, startBenchPostgres } from './database.ts';
import { inTurns, type Measure, Report, round } from './harness.ts';
import { cpuSecondsOfTree, peakMb, programVersion } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { settingsOf, untilListing } from './pipeline.ts';

const SERVICES: ServiceName[] = ['indexer', 'repo-backfiller', 'ingester'];
const RECORDS_A_REPO = 250;
const LIMIT_MS = 600_000;
/** Looking costs the server next to nothing so rarely. */
const LOOK_MS = 100;
const complete = `SELECT count(*)::int AS n FROM headwater.repo WHERE state = 'complete'`;

const OURS = 'network to tables';
const CEILING = 'COPY FROM file of the same rows';

interface Scene {
  postgres: BenchPostgres;
  network: RemoteNetwork;
  repos: number;
  report: Report;
  /** What the tables came to, for the ceiling. */
  records: number;
  rows: RowFile[];
}

export async function bench({ records = 500_000, rounds = 3, json }: BenchOptions): Promise<void> {
  await using postgres = await startBenchPostgres();
  const versions = { PostgreSQL: postgres.version, Redis: programVersion('redis-server') };
  const report = new Report('e2e', versions, { quiet: json });
  const repos = Math.max(8, Math.ceil(records / RECORDS_A_REPO));
  const carFolder = await mkdtemp(join(tmpdir(), 'headwater-cars-'));
  try {
    const size = { repos, recordsPerRepo: RECORDS_A_REPO, hosts: 8, clock: 'wall' as const };
    await using network = await startRemoteNetwork({ seed: 5, ...size, carFolder, cachedRecords: 0 });
    // The network's own work is not to be measured: its CARs lie ready in files.
    const listed = await network.call<number>('prepare');
    const scene: Scene = { postgres, network, repos: listed, report, records: 0, rows: [] };
    const contestants = [
      { name: OURS, run: () => wholeWay(scene) },
      { name: CEILING, run: () => ceiling(scene) },
    ];
    const standings = await inTurns({ contestants, rounds });
    report.standings(standings, 'records');
    const { costs } = standings[OURS]!;
    report.result({
      e2e_vs_copy_ceiling: round(standings[OURS]!.rate / standings[CEILING]!.rate),
      node_cpu_us_per_record: round(SERVICES.reduce((sum, name) => sum + costs[name]!, 0)),
    });
  } finally {
    await rm(carFolder, { recursive: true, force: true });
  }
}

async function wholeWay(scene: Scene): Promise<Measure> {
  const { postgres, network } = scene;
  const url = await postgres.create('bench_e2e');
  await using redis = await startRedis({ aof: true });
  await postgres.settle();
  const { addresses } = network;
  const before = { postgres: postgres.cpuSeconds(), network: cpuSecondsOfTree(network.process.pid!) };
  const place = { redisUrl: redis.url, databaseUrl: url, plcUrl: addresses.plcUrl, env: settingsOf(network) };
  await using stack = new AsyncDisposableStack();
  const services: RunningService[] = [];
  // Node's start is not what is measured: everybody stands ready when the first repo is listed.
  for (const name of SERVICES) {
    services.push(stack.use(await spawnService(name, place)));
    if (name !== 'ingester') await services.at(-1)!.ready();
  }
  await untilListing(redis.url);
  const begun = { at: performance.now(), cpu: services.map(({ child }) => cpuSecondsOfTree(child.pid)) };
  await untilComplete(scene, url, services);
  const seconds = (performance.now() - begun.at) / 1000;
  const ofService = services.map(({ name, child }, i) => [name, cpuSecondsOfTree(child.pid) - begun.cpu[i]!]);
  const costs = {
    ...Object.fromEntries(ofService),
    PostgreSQL: postgres.cpuSeconds() - before.postgres,
    Redis: cpuSecondsOfTree(redis.pid),
    'the network': cpuSecondsOfTree(network.process.pid!) - before.network,
  };
  const memory = services.map(({ name, child }) => `${name} ${peakMb(child.pid)} MB`);
  scene.report.say(`  peak memory: ${memory.join(', ')}`);
  scene.records = await countRecords(url);
  scene.rows = await dumpRows(url, postgres.folder);
  return { seconds, items: scene.records, costs };
}

async function untilComplete(
  { repos }: Scene,
  url: string,
  services: readonly RunningService[],
): Promise<void> {
  await onDatabase(url, async (client) => {
    const counted = async () => (await client.query<{ n: number }>(complete)).rows[0]!.n;
    const said = () => services.map(({ child }) => child.output).join('\n');
    const say = async () => `${repos} repos complete, ${await counted()} are\n${said()}`;
    await until(
      say,
      async () => {
        await sleep(LOOK_MS);
        return (await counted()) >= repos;
      },
      LIMIT_MS,
    );
  });
}

async function countRecords(url: string): Promise<number> {
  const { rows } = await onDatabase(url, (client) =>
    client.query<{ n: number }>('SELECT count(*)::int AS n FROM bsky.record'),
  );
  return rows[0]!.n;
}

async function ceiling({ postgres, records, rows }: Scene): Promise<Measure> {
  const url = await postgres.create('bench_copy');
  await postgres.settle();
  return onDatabase(url, async (client) => {
    const before = { at: performance.now(), postgres: postgres.cpuSeconds() };
    await copyRows(client, rows);
    const seconds = (performance.now() - before.at) / 1000;
    return { seconds, items: records, costs: { PostgreSQL: postgres.cpuSeconds() - before.postgres } };
  });
}
