/**
 * The first load of an empty database, in bulk mode with its finish against
 * normal mode: through the indexer's writer, two sessions, without Redis.
 *
 * A network of millions of records would take longer to make than to load. So
 * a small one is loaded again and again, each time under other DIDs and CIDs:
 * other repos, whose keys lie scattered over the indexes as real ones do.
 */
import { bulkStatus, finishBulk, startBulk } from '@headwater/database';
import type { ReadFields } from '@headwater/streams';
import { type BenchPostgres, startBenchPostgres } from './database.ts';
import { cpuSince, Report, round } from './harness.ts';
import { versionsOf } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { type BenchRepo, entriesOf, makeRepos, open, totalOf } from './repos.ts';
import { applyEntries, beginFetches, withPool } from './writer.ts';

const RECORDS = 5_000_000;
/** Records of the small network. */
const PATTERN = 50_000;

interface Pattern {
  repos: BenchRepo[];
  entries: ReadFields[];
  records: number;
}

/** Seconds. */
interface Load {
  load: number;
  finish: number;
  node: number;
  postgres: number;
}

export async function bench({ records = RECORDS, json, only }: BenchOptions): Promise<void> {
  await using postgres = await startBenchPostgres();
  const report = new Report('bulk', { PostgreSQL: postgres.version, ...versionsOf(['pg']) }, { quiet: json });
  const pattern = await makePattern(Math.min(PATTERN, records));
  const times = Math.max(1, Math.round(records / pattern.records));
  report.say(`  ${times * pattern.records} records, of ${times * pattern.repos.length} repos; fsync on`);
  // What comes first in a process is dear, whatever the mode.
  await withPool(await postgres.create('bench_warm'), (pool) => loadOnce(pool, pattern, 0));
  const loads: Record<string, Load> = {};
  for (const mode of ['normal', 'bulk'] as const) {
    if (only !== undefined && only !== mode) continue;
    loads[mode] = await loaded(postgres, pattern, { times, mode, report });
    const { load, finish, node, postgres: server } = loads[mode];
    report.say(
      `  ${mode}: ${round(load + finish)} s (${round(load)} and ${round(finish)} for the finish), CPU: Node ${round(node)} s, PostgreSQL ${round(server)} s`,
    );
  }
  report.result(figuresOf(loads, times * pattern.records));
}

function figuresOf({ normal, bulk }: Record<string, Load>, records: number): Record<string, number> {
  const figures: Record<string, number> = { records };
  const total = ({ load, finish }: Load) => load + finish;
  if (normal) figures['normal_seconds'] = round(total(normal));
  if (bulk) figures['bulk_seconds'] = round(total(bulk));
  if (bulk) figures['finish_seconds'] = round(bulk.finish);
  if (normal && bulk) {
    figures['bulk_vs_normal'] = round(total(normal) / total(bulk));
    figures['bulk_vs_normal_by_postgres_cpu'] = round(normal.postgres / bulk.postgres);
  }
  return figures;
}

async function makePattern(records: number): Promise<Pattern> {
  const repos = await makeRepos(records);
  const entries: ReadFields[] = [];
  for (const { car } of repos) {
    await using snapshot = await open(car);
    entries.push(...(await entriesOf(snapshot, 'first')));
  }
  return { repos, entries, records: totalOf(repos) };
}

async function loaded(
  postgres: BenchPostgres,
  pattern: Pattern,
  { times, mode, report }: { times: number; mode: 'normal' | 'bulk'; report: Report },
): Promise<Load> {
  const url = await postgres.create('bench_load');
  await postgres.settle();
  return await withPool(url, async (pool) => {
    if (mode === 'bulk') await startBulk(pool);
    const sum: Load = { load: 0, finish: 0, node: 0, postgres: 0 };
    for (let n = 1; n <= times; n++) {
      const turn = await loadOnce(pool, pattern, n, postgres);
      for (const cost of ['load', 'node', 'postgres'] as const) sum[cost] += turn[cost];
      if (n % 20 === 0) report.say(`    ${n * pattern.records} records: ${round(sum.load)} s`);
    }
    if (mode === 'normal') return sum;
    const [began, server] = [performance.now(), postgres.cpuSeconds()];
    await finishBulk({ url, say: (line) => report.say(`    ${line}`) });
    if ((await bulkStatus(pool)).state !== 'off') throw new Error('bulk mode is still on');
    sum.finish = (performance.now() - began) / 1000;
    sum.postgres += postgres.cpuSeconds() - server;
    return sum;
  });
}

/** The pattern once more, as other repos. What is not the writer's work is not counted. */
async function loadOnce(pool: Pool, pattern: Pattern, n: number, postgres?: BenchPostgres): Promise<Load> {
  const rename = renamer(n);
  const repos = pattern.repos.map(({ did, rev }) => ({ did: rename(did), rev }));
  const entries = pattern.entries.map((fields) =>
    Object.fromEntries(
      Object.entries(fields).map(([name, text]) => [name, Buffer.from(rename(text.toString()))]),
    ),
  );
  await beginFetches(pool, repos, 'first');
  const before = { at: performance.now(), node: process.cpuUsage(), postgres: postgres?.cpuSeconds() ?? 0 };
  await applyEntries(pool, entries);
  return {
    load: (performance.now() - before.at) / 1000,
    finish: 0,
    node: cpuSince(before.node),
    postgres: (postgres?.cpuSeconds() ?? 0) - before.postgres,
  };
}

type Pool = Parameters<typeof applyEntries>[0];

const NAMES = /did:plc:[a-z2-7]{24}|bafyrei[a-z2-7]{52}/g;
const DIGITS = 'abcdefghijklmnopqrstuvwxyz234567';
/** Where a name is changed: in front, so that names of one turn are no neighbours. */
const AT = 'did:plc:'.length;

/** Gives every DID and CID in a text another one, the same for the same. */
function renamer(n: number): (text: string) => string {
  const mark = Array.from({ length: 4 }, (_, i) => DIGITS[(n >> (5 * i)) & 31]).join('');
  return (text) =>
    text.replace(NAMES, (name) => {
      // Each is moved by a few of its own digits too, else all of one turn would begin alike.
      const shift = DIGITS.indexOf(name[AT + 6]!) * 7 + DIGITS.indexOf(name[AT + 7]!);
      const turned = [...mark].map(
        (digit, i) => DIGITS[(DIGITS.indexOf(digit) + DIGITS.indexOf(name[AT + i]!) + shift) & 31],
      );
      return `${name.slice(0, AT)}${turned.join('')}${name.slice(AT + 4)}`;
    });
}
