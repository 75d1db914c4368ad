/** The cost of a fresh record while the tables grow by a hundred. */
import type { ReadFields } from '@headwater/streams';
import type { BenchPostgres } from './database.ts';
import { cpuSince, median, type Report, round } from './harness.ts';
import { type BenchRepo, entriesOf, makeRepos, open, totalOf } from './repos.ts';
import { applyEntries, beginFetches, withPool } from './writer.ts';

type Pool = Parameters<typeof applyEntries>[0];

/** Records in the tables at ×100. */
const RECORDS = 600_000;
/** Records that a cost is taken of. */
const TAKEN = 6_000;
/** How often a cost is taken from each size on. */
const TAKES = 3;
const STEPS = [1, 10, 100];

/** Microseconds a record. */
interface Cost {
  node: number;
  postgres: number;
  passed: number;
}

/** @param records in the tables at ×100 */
export async function growth(
  postgres: BenchPostgres,
  report: Report,
  records = RECORDS,
): Promise<Record<string, number>> {
  const repos = await makeRepos(records + 2 * TAKES * TAKEN);
  // What comes first in a process is dear, whatever is in the tables.
  await withPool(await postgres.create('bench_warm'), (pool) => fill(pool, repos.values(), 4 * TAKEN));
  const left = repos.values();
  const costs: Cost[] = [];
  await withPool(await postgres.create('bench_growth'), async (pool) => {
    let there = 0;
    for (const times of STEPS) {
      there += await fill(pool, left, (records / 100) * times - there);
      const taken: Cost[] = [];
      for (let i = 0; i < TAKES; i++) {
        const step = await take(left, TAKEN);
        taken.push(await costOf(postgres, () => write(pool, step), totalOf(step.repos)));
        there += totalOf(step.repos);
      }
      const cost = medianOf(taken);
      report.say(
        `  after ${there} records: Node ${cost.node} µs, PostgreSQL ${cost.postgres} µs, ${cost.passed} µs passed`,
      );
      costs.push(cost);
    }
  });
  const over = (part: (cost: Cost) => number) => round(part(costs.at(-1)!) / part(costs[0]!));
  return {
    cost_at_100x: over(({ node, postgres }) => node + postgres),
    time_at_100x: over(({ passed }) => passed),
  };
}

interface Step {
  repos: BenchRepo[];
  entries: ReadFields[];
}

/** The next repos, with so many records at least, as the backfiller sends them. */
async function take(left: Iterator<BenchRepo>, records: number): Promise<Step> {
  const step: Step = { repos: [], entries: [] };
  for (let count = 0; count < records; ) {
    const { value: repo, done } = left.next();
    if (done) throw new Error('all repos are written');
    await using snapshot = await open(repo.car);
    step.entries.push(...(await entriesOf(snapshot, 'first')));
    step.repos.push(repo);
    count += repo.records;
  }
  return step;
}

/** Writes repos with so many records at least; returns how many they were. */
async function fill(pool: Pool, left: Iterator<BenchRepo>, records: number): Promise<number> {
  let count = 0;
  while (count < records) {
    const step = await take(left, Math.min(TAKEN * 4, records - count));
    await write(pool, step);
    count += totalOf(step.repos);
  }
  return count;
}

async function write(pool: Pool, { repos, entries }: Step): Promise<void> {
  await beginFetches(pool, repos, 'first');
  await applyEntries(pool, entries);
}

async function costOf(postgres: BenchPostgres, run: () => Promise<void>, records: number): Promise<Cost> {
  const before = { at: performance.now(), node: process.cpuUsage(), postgres: postgres.cpuSeconds() };
  await run();
  const each = (seconds: number) => (seconds * 1e6) / records;
  return {
    node: each(cpuSince(before.node)),
    postgres: each(postgres.cpuSeconds() - before.postgres),
    passed: each((performance.now() - before.at) / 1000),
  };
}

function medianOf(costs: readonly Cost[]): Cost {
  const of = (part: (cost: Cost) => number) => round(median(costs.map(part)));
  return { node: of((c) => c.node), postgres: of((c) => c.postgres), passed: of((c) => c.passed) };
}
