/**
 * How fast the first steps are: repos that a relay lists into Redis, and small
 * repos that the backfiller fetches, verifies and sends. One copy of each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '@headwater/streams';
import { until } from '../support/wait.ts';
import { Report, round } from './harness.ts';
import { programVersion } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { type Pipeline, startPipeline } from './pipeline.ts';

const LISTED = 100_000;
const FETCHED = 3_000;
const SMALL = 20;
const LOOK_MS = 10;

/** `--only listing|fetching`; `--records`: repos. */
export async function bench({ records, only, json }: BenchOptions): Promise<void> {
  const report = new Report('rates', { Redis: programVersion('redis-server') }, { quiet: json });
  const figures: Record<string, number> = {};
  if (only !== 'fetching') figures.listed_repos_per_second = await listing(report, records);
  if (only !== 'listing') figures.small_repos_per_second = await fetching(report, records);
  report.result(figures);
}

async function listing(report: Report, repos = LISTED): Promise<number> {
  await using pipeline = await startPipeline({
    network: { seed: 7, repos, recordsPerRepo: 0, hosts: 8, heads: 'placeholder' },
    prepare: false,
  });
  await pipeline.run('ingester', { INGESTER_MODE: 'backfill' });
  const rate = await rateOf(pipeline, 'repo_backfill', repos);
  report.say(`  ${repos} repos listed: ${round(rate)} repos/s into Redis`);
  return round(rate);
}

async function fetching(report: Report, repos = FETCHED): Promise<number> {
  await using pipeline = await startPipeline({
    network: { seed: 8, repos, recordsPerRepo: SMALL, hosts: 8, inactive: 0 },
  });
  await pipeline.run('ingester', { INGESTER_MODE: 'backfill' });
  await rateOf(pipeline, 'repo_backfill', pipeline.listed);
  await pipeline.run('repo-backfiller');
  const rate = await rateOf(pipeline, 'firehose_backfill', pipeline.listed);
  report.say(`  ${pipeline.listed} repos of ${SMALL} records fetched: ${round(rate)} repos/s`);
  return round(rate);
}

/** Entries a second from the time when there was none to the one that makes them so many. */
async function rateOf({ redis }: Pipeline, stream: string, wanted: number): Promise<number> {
  const client = connect(redis.url, { name: 'bench' });
  const added = async () => {
    await sleep(LOOK_MS);
    const fields = (await client.xinfo('STREAM', stream).catch(() => [])) as (string | number)[];
    return Number(fields[fields.indexOf('entries-added') + 1] ?? 0);
  };
  try {
    let begun = performance.now();
    let count = 0;
    await until(`an entry of ${stream}`, async () => {
      const asked = performance.now();
      count = await added();
      if (count === 0) begun = asked;
      return count > 0;
    });
    const enough = async () => {
      count = await added();
      return count >= wanted;
    };
    await until(() => `${wanted} entries of ${stream}, ${count} are`, enough, 200_000);
    return count / ((performance.now() - begun) / 1000);
  } finally {
    client.disconnect();
  }
}
