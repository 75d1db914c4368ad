/**
 * What size does: the cost of a record while the tables grow, the services in
 * several copies, and one repo of a million records, whose CAR has 350 MB.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/wait.ts';
import { startBenchPostgres } from './database.ts';
import { growth } from './growth.ts';
import { Report, round } from './harness.ts';
import { peakMb, programVersion } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { completeRepos, type Pipeline, startPipeline, untilListing } from './pipeline.ts';

const LIMIT_MS = 500_000;
const LOOK_MS = 100;
const RECORDS_A_REPO = 250;
/** Records that the copies of the services share. */
const SHARED = 30_000;
const LARGE_REPO = 1_000_000;
const COPIES = [1, 2, 4];

type Part = (report: Report, records: number | undefined) => Promise<Record<string, number>>;

const parts: Record<string, Part> = { growth: grow, copies, million };

/** `--only growth|copies|million`; `--records`: of the last step of the growth, of the copies, of the large repo. */
export async function bench({ records, only, json }: BenchOptions): Promise<void> {
  const report = new Report('scale', { Redis: programVersion('redis-server') }, { quiet: json });
  const figures: Record<string, number> = {};
  for (const [name, part] of Object.entries(parts)) {
    if (only === undefined || name === only) Object.assign(figures, await part(report, records));
  }
  report.result(figures);
}

async function grow(report: Report, records?: number): Promise<Record<string, number>> {
  await using postgres = await startBenchPostgres();
  return await growth(postgres, report, records);
}

/** The same repos through one, two and four copies of each service. */
async function copies(report: Report, records = SHARED): Promise<Record<string, number>> {
  const repos = Math.ceil(records / RECORDS_A_REPO);
  await using pipeline = await startPipeline({
    network: { seed: 5, repos, recordsPerRepo: RECORDS_A_REPO, hosts: 8, clock: 'wall' },
  });
  const figures: Record<string, number> = {};
  for (const number of COPIES) {
    await pipeline.reset();
    const { perSecond, peak } = await backfill(pipeline, number);
    report.say(`  ${number} of each service: ${round(perSecond)} records/s; ${peak}`);
    figures[`records_per_second_${number}_copies`] = round(perSecond);
  }
  return figures;
}

async function million(report: Report, records = LARGE_REPO): Promise<Record<string, number>> {
  await using pipeline = await startPipeline({
    network: {
      ...{ seed: 6, repos: 8, recordsPerRepo: RECORDS_A_REPO, hosts: 1, clock: 'wall' },
      sizes: { 0: records },
    },
  });
  const { perSecond, peak, largest } = await backfill(pipeline, 1);
  report.say(`  a repo of ${records} records: ${round(perSecond)} records/s; peak memory: ${peak}`);
  return { million_repo_rss_mb: largest };
}

/** Starts the services and waits for every repo. */
async function backfill(pipeline: Pipeline, number: number) {
  await pipeline.start(number);
  const { services, listed, url } = pipeline;
  await untilListing(pipeline.redis.url);
  const begun = performance.now();
  const say = async () =>
    `${listed} repos complete, ${await completeRepos(url)} are\n${services.map(({ child }) => child.output).join('\n')}`;
  const complete = async () => {
    await sleep(LOOK_MS);
    return (await completeRepos(url)) >= listed;
  };
  await until(say, complete, LIMIT_MS);
  const seconds = (performance.now() - begun) / 1000;
  const peaks = services.map(({ name, child }) => ({ name, mb: peakMb(child.pid) }));
  const { rows } = await pipeline.query<{ n: number }>('SELECT count(*)::int AS n FROM bsky.record');
  return {
    perSecond: rows[0]!.n / seconds,
    peak: peaks.map(({ name, mb }) => `${name} ${mb} MB`).join(', '),
    largest: Math.max(...peaks.map(({ mb }) => mb)),
  };
}
