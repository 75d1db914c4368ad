/**
 * What hosts in trouble cost the others: repos a second of good hosts, alone
 * and with neighbours that refuse half of what they are asked, or send one byte
 * a second. One backfiller with the settings that it has in production. A good
 * host answers after a tenth of a second, as over the internet: so it is places
 * that are scarce, which is what a bad host takes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeRepoJob } from '@headwater/events';
import { connect, Producer } from '@headwater/streams';
import { listRepos, XrpcClient } from '@headwater/xrpc';
import { declarations } from '../../packages/ops/src/settings/load.ts';
import { until } from '../support/wait.ts';
import { onDatabase } from './database.ts';
import { inTurns, type Measure, median, Report, round } from './harness.ts';
import { programVersion } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { type Pipeline, startPipeline } from './pipeline.ts';

const GOOD = 20;
const LIMITED = GOOD;
const SLOW = GOOD + 1;
const REPOS = 1_200;
/** So many entries of a host that is left alone stand before all others. */
const RUN = 20_000;
const ANSWER_MS = 100;
const LOOK_MS = 50;
const ALONE = 'good hosts alone';
const TROUBLED = 'with two hosts in trouble';

type Job = Parameters<typeof encodeRepoJob>[0];

interface Scene {
  pipeline: Pipeline;
  report: Report;
  good: Job[];
  bad: Job[];
  /** Neighbours in the list of one host, half of them with a document that names it. */
  run: Job[];
}

/** `--records`: repos of the good hosts; `--only run`: the long run of one host's entries. */
export async function bench({ records = REPOS, rounds = 3, only, json }: BenchOptions): Promise<void> {
  const report = new Report('hosts', { Redis: programVersion('redis-server') }, { quiet: json });
  const hosts = GOOD + 2;
  const repos = Math.ceil(records / GOOD) * hosts;
  const phantoms = { phantomHosts: 1, phantomsPerHost: RUN };
  const network = { seed: 9, repos, recordsPerRepo: 20, hosts, even: true, inactive: 0, ...phantoms };
  await using pipeline = await startPipeline({ network, env: productionPace() });
  const byHost = await Promise.all(pipeline.network.addresses.hosts.map(jobsOf));
  const [good, bad] = [inTurn(byHost.slice(0, GOOD)), inTurn(byHost.slice(GOOD, hosts))];
  const scene = { pipeline, report, good, bad, run: byHost[hosts]! };
  const figures: Record<string, number> = {};
  if (only !== 'run') Object.assign(figures, await side(scene, rounds));
  if (only === undefined || only === 'run') Object.assign(figures, await headOfLine(scene));
  report.result(figures);
}

/** In turns, as in each round neighbours on the machine are the same; the figure is the median of the rounds' ratios. */
async function side(scene: Scene, rounds: number): Promise<Record<string, number>> {
  const rates: Record<string, number[]> = { [ALONE]: [], [TROUBLED]: [] };
  const contestants = [ALONE, TROUBLED].map((name) => ({
    name,
    run: async () => {
      const measure = await fetchAll(scene, name === TROUBLED);
      rates[name]!.push(measure.items / measure.seconds);
      return measure;
    },
  }));
  scene.report.standings(await inTurns({ contestants, rounds }), 'repos');
  const ratios = rates[ALONE]!.map((rate, i) => rates[TROUBLED]![i]! / rate);
  scene.report.say(`  rounds: ${ratios.map(round).join(', ')}`);
  return { others_throughput_ratio: round(median(ratios)) };
}

/** The good hosts' repos, from the first that is sent to the last. */
async function fetchAll({ pipeline, good, bad }: Scene, isTroubled: boolean): Promise<Measure> {
  await pipeline.reset();
  await disturb(pipeline, isTroubled);
  // As a relay lists them: neighbours in the stream are of different hosts.
  await list(pipeline, isTroubled ? mixed(good, bad) : good);
  await pipeline.run('repo-backfiller');
  const begun = await untilSent(pipeline, good, 1);
  const ended = await untilSent(pipeline, good, good.length);
  return { seconds: (ended - begun) / 1000, items: good.length };
}

async function disturb({ network }: Pipeline, isTroubled: boolean): Promise<void> {
  const method = 'com.atproto.sync.getRepo';
  await network.call('clear');
  await network.call('inject', { fault: 'late', method, ms: ANSWER_MS });
  if (!isTroubled) return;
  await network.call('inject', { fault: 'rate-limit', service: `pds${LIMITED}`, method, share: 0.5 });
  await network.call('inject', { fault: 'slow-body', service: `pds${SLOW}`, method, bytesPerSecond: 1 });
}

/** How long a good host waits behind a long run of neighbouring entries of a host that is left alone. */
async function headOfLine(scene: Scene): Promise<Record<string, number>> {
  const { pipeline, good, run, report } = scene;
  await pipeline.reset();
  await disturb(pipeline, false);
  await pipeline.network.call('inject', { fault: 'late', service: 'plc', ms: ANSWER_MS });
  await park(pipeline, run[0]!.host);
  await list(pipeline, run);
  const few = good.slice(0, GOOD);
  await list(pipeline, few);
  await pipeline.run('repo-backfiller');
  const begun = performance.now();
  const seconds = ((await untilSent(pipeline, few, 1)) - begun) / 1000;
  report.say(`  ${RUN} neighbouring entries of a parked host are passed in ${round(seconds)} s`);
  return { parked_entries_per_second: round(RUN / seconds) };
}

async function park({ redis }: Pipeline, host: string): Promise<void> {
  const client = connect(redis.url, { name: 'bench' });
  const end = Date.now() + 3_600_000;
  await client.hset(`repo_backfill:host:${host}`, { until: end, strikes: 3 });
  await client.zadd('repo_backfill:parked', end, host);
  client.disconnect();
}

async function jobsOf(origin: string): Promise<Job[]> {
  await using client = new XrpcClient({ allowPrivateAddresses: true });
  const { host } = new URL(origin);
  const jobs: Job[] = [];
  for (let cursor: string | undefined, first = true; first || cursor; first = false) {
    const page = await listRepos(client, origin, { limit: 1000, cursor });
    jobs.push(...page.repos.map(({ did, rev, active }) => ({ did, host, rev, active })));
    cursor = page.cursor;
  }
  return jobs;
}

async function list({ redis }: Pipeline, jobs: readonly Job[]): Promise<void> {
  const client = connect(redis.url, { name: 'bench' });
  const producer = new Producer(client, 'repo_backfill');
  for (let at = 0; at < jobs.length; at += 1000) {
    await producer.append(jobs.slice(at, at + 1000).map(encodeRepoJob));
  }
  client.disconnect();
}

/** When so many of these repos are sent. */
async function untilSent(pipeline: Pipeline, jobs: readonly Job[], wanted: number): Promise<number> {
  const dids = jobs.map(({ did }) => did);
  let sent = 0;
  await onDatabase(pipeline.url, (client) =>
    until(
      () =>
        `${wanted} repos sent, ${sent} are\n${pipeline.services.map(({ child }) => child.output).join('\n')}`,
      async () => {
        await sleep(LOOK_MS);
        const sql = "SELECT count(*)::int AS n FROM headwater.repo WHERE state = 'sent' AND did = ANY($1)";
        sent = (await client.query<{ n: number }>(sql, [dids])).rows[0]!.n;
        return sent >= wanted;
      },
      150_000,
    ),
  );
  return performance.now();
}

/** One of each list after the other. */
function inTurn(lists: readonly Job[][]): Job[] {
  const longest = Math.max(...lists.map((list) => list.length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat();
}

/** The second list spread evenly over the first. */
function mixed(most: readonly Job[], few: readonly Job[]): Job[] {
  const each = Math.floor(most.length / few.length);
  return most.flatMap((job, i) => (i % each === 0 && i / each < few.length ? [few[i / each]!, job] : [job]));
}

/** The defaults, in place of what suits other benches. */
function productionPace(): Record<string, string> {
  const { hostConcurrency, hostRequestsPerSecond, concurrency } = declarations['repo-backfiller'];
  const settings = [hostConcurrency, hostRequestsPerSecond, concurrency];
  return Object.fromEntries(settings.map((setting) => [setting.env, `${setting.default}`]));
}
