/**
 * Events to tables, against what PostgreSQL can do at all with the very same
 * rows, and against the official indexer. Time passed, which is what a first
 * load costs; CPU stands beside it, since two sessions of ours meet a busy
 * machine otherwise than the one of COPY.
 */
import type { ReadFields } from '@headwater/streams';
import { RepoStore } from '../../services/repo-backfiller/src/store.ts';
import { OfficialIndexer } from '../reference/official.ts';
import { copyRows, dumpRows, type RowFile } from './ceiling.ts';
import { type BenchPostgres, onDatabase, startBenchPostgres } from './database.ts';
import {
  type Contestant,
  cpuSince,
  inTurns,
  type Measure,
  Report,
  round,
  type Standings,
} from './harness.ts';
import { versionsOf } from './machine.ts';
import { operationsOf } from './operations.ts';
import type { BenchOptions } from './options.ts';
import { type BenchRepo, earlier, entriesOf, everySecondEarlier, makeRepos, open, totalOf } from './repos.ts';
import { statementsOf } from './statements.ts';
import { applyEntries, beginFetches, compareAgain, withPool } from './writer.ts';

const FRESH = 'fresh repos';
const MERGE = 'repos present, half new, half changed';
const UNCHANGED = 'whole repos again, unchanged';
const CEILING = 'COPY FROM file of the same rows';
const OFFICIAL = 'IndexingService of @atproto/bsky';
/** Operations of the official indexer under way at once, of as many repos. */
const OFFICIAL_LANES = 8;
const OFFICIAL_RECORDS = 2_000;

export async function bench(options: BenchOptions): Promise<void> {
  const { records = 300_000, rounds = 3, json, only, profile } = options;
  const preload = 'pg_stat_statements';
  await using postgres = await startBenchPostgres(profile ? { shared_preload_libraries: preload } : {});
  const versions = { PostgreSQL: postgres.version, ...versionsOf(['pg', '@atproto/bsky']) };
  const report = new Report('index', versions, { quiet: json });
  const repos = await makeRepos(records);
  const bytes = repos.reduce((sum, { car }) => sum + car.length, 0);
  report.say(
    `  ${totalOf(repos)} records of ${repos.length} repos, ${(bytes / 1e6).toFixed(1)} MB of CARs; fsync on`,
  );
  const scene = await prepare(postgres, repos);
  const words = only?.split(',') ?? [''];
  const wanted = contestantsOf(scene).filter(({ name }) => words.some((word) => name.includes(word)));
  const contestants = profile ? wanted.map((one) => profiled(one, scene, report)) : wanted;
  const standings = await inTurns({ contestants, rounds: profile ? 1 : rounds, warmUp: profile ? 0 : 1 });
  report.standings(standings, 'records');
  report.result(figuresOf(standings));
}

/** Everything that is made before anything is measured. */
interface Scene {
  postgres: BenchPostgres;
  repos: BenchRepo[];
  records: number;
  fresh: ReadFields[];
  merge: ReadFields[];
  rows: RowFile[];
}

/** Databases: with our migrations only, with every record, and with the older half. */
const FULL = 'bench_full';
const HALF = 'bench_half';

async function prepare(postgres: BenchPostgres, repos: BenchRepo[]): Promise<Scene> {
  const fresh: ReadFields[] = [];
  const half: ReadFields[] = [];
  for (const { car, rev } of repos) {
    await using snapshot = await open(car);
    fresh.push(...(await entriesOf(snapshot, 'first')));
    half.push(...(await entriesOf(snapshot, 'older', { rev: earlier(rev), alter: everySecondEarlier })));
  }
  const full = await postgres.create(FULL);
  await withPool(full, async (pool) => {
    await beginFetches(pool, repos, 'first');
    await applyEntries(pool, fresh);
    await pool.query('VACUUM ANALYZE');
  });
  const rows = await dumpRows(full, postgres.folder);
  const merge: ReadFields[] = [];
  await withPool(await postgres.create(HALF), async (pool) => {
    const older = repos.map((repo) => ({ ...repo, rev: earlier(repo.rev) }));
    await beginFetches(pool, older, 'older');
    await applyEntries(pool, half);
    await pool.query('VACUUM ANALYZE');
    const store = new RepoStore(pool);
    const marked: Promise<void>[] = [];
    for (const repo of repos) {
      const { entries, sent } = await compareAgain(store, repo, 'again');
      merge.push(...entries);
      marked.push(sent);
    }
    await Promise.all(marked);
  });
  return { postgres, repos, records: totalOf(repos), fresh, merge, rows };
}

function contestantsOf(scene: Scene): Contestant[] {
  const { postgres, repos, fresh, merge, rows, records } = scene;
  return [
    {
      name: FRESH,
      async run() {
        const url = await postgres.create('bench_fresh');
        return withPool(url, async (pool) => {
          await beginFetches(pool, repos, 'first');
          return measured(scene, records, () => applyEntries(pool, fresh));
        });
      },
    },
    {
      name: CEILING,
      async run() {
        const url = await postgres.create('bench_copy');
        return onDatabase(url, (client) => measured(scene, records, () => copyRows(client, rows)));
      },
    },
    {
      name: MERGE,
      async run() {
        const url = await postgres.create('bench_merge', HALF);
        return withPool(url, (pool) => measured(scene, records, () => applyEntries(pool, merge)));
      },
    },
    {
      name: UNCHANGED,
      async run() {
        const url = await postgres.create('bench_again', FULL);
        return withPool(url, (pool) => measured(scene, records, () => again(pool, repos)));
      },
    },
    { name: OFFICIAL, rounds: 2, run: () => official(scene) },
  ];
}

type Pool = Parameters<typeof applyEntries>[0];

/** As services/repo-backfiller and the indexer: read, verify, compare, and say that the repo is complete. */
async function again(pool: Pool, repos: readonly BenchRepo[]): Promise<void> {
  const sent: ReadFields[] = [];
  const marked: Promise<void>[] = [];
  const store = new RepoStore(pool);
  const left = repos.values();
  const worker = async () => {
    for (const repo of left) {
      const again = await compareAgain(store, repo, 'again');
      sent.push(...again.entries);
      // Which takes its time, and holds up no other repo.
      marked.push(again.sent);
    }
  };
  await Promise.all([worker(), worker(), worker(), worker()]);
  await Promise.all(marked);
  if (sent.length !== repos.length) throw new Error('something differs');
  await applyEntries(pool, sent);
}

async function official(scene: Scene): Promise<Measure> {
  const { postgres, fresh } = scene;
  const operations = operationsOf(fresh, OFFICIAL_RECORDS);
  const repos = [...Map.groupBy(operations, ({ did }) => did).values()];
  await using indexer = await OfficialIndexer.create(await postgres.create('bench_official', 'template0'));
  const left = repos.values();
  const worker = async () => {
    for (const ofRepo of left) await indexer.apply(ofRepo);
  };
  const lanes = Array.from({ length: OFFICIAL_LANES }, () => worker);
  const measure = await measured(scene, operations.length, () => Promise.all(lanes.map((lane) => lane())));
  const [refused] = indexer.refused;
  if (refused) throw new Error(`the official indexer refused ${refused.uri}`, { cause: refused.error });
  return measure;
}

async function measured({ postgres }: Scene, items: number, run: () => Promise<unknown>): Promise<Measure> {
  await postgres.settle();
  const before = { at: performance.now(), node: process.cpuUsage(), postgres: postgres.cpuSeconds() };
  await run();
  const seconds = (performance.now() - before.at) / 1000;
  const costs = {
    'node CPU': cpuSince(before.node),
    'PostgreSQL CPU': postgres.cpuSeconds() - before.postgres,
  };
  return { seconds, items, costs };
}

function profiled(contestant: Contestant, { postgres, records }: Scene, report: Report): Contestant {
  return {
    ...contestant,
    async run() {
      const statements = await statementsOf(postgres.urlOf('postgres'));
      const measure = await contestant.run();
      report.say(`${contestant.name}:`);
      for (const line of await statements(records)) report.say(`  ${line}`);
      return measure;
    },
  };
}

function figuresOf(standings: Standings): Record<string, number> {
  const pairs: [figure: string, ours: string, reference: string][] = [
    ['fresh_vs_copy_ceiling', FRESH, CEILING],
    ['merge_vs_copy_ceiling', MERGE, CEILING],
    ['unchanged_vs_copy_ceiling', UNCHANGED, CEILING],
    ['fresh_vs_official', FRESH, OFFICIAL],
  ];
  const figures: Record<string, number> = {};
  for (const [figure, ours, reference] of pairs) {
    const [a, b] = [standings[ours], standings[reference]];
    if (!a || !b) continue;
    figures[figure] = round(a.rate / b.rate);
    figures[`${figure}_by_cpu`] = round(sumOf(b.costs) / sumOf(a.costs));
  }
  return figures;
}

const sumOf = (costs: Record<string, number>) => Object.values(costs).reduce((sum, cost) => sum + cost, 0);
