/**
 * Entries through packages/streams, against what redis-benchmark, a C program
 * that decides nothing, gets out of the same Redis. One entry is what the
 * backfiller sends: a part of 100 records.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import {
  connect,
  consume,
  type Fields,
  keysOf,
  Producer,
  type ReadFields,
  type Redis,
} from '@headwater/streams';
import { startRedis } from '../support/redis.ts';
import { type Contestant, cpuSince, inTurns, type Measure, Report, round } from './harness.ts';
import { cpuSecondsOfTree, programVersion } from './machine.ts';
import type { BenchOptions } from './options.ts';

const RECORDS_AN_ENTRY = 100;
const BYTES_A_RECORD = 550;
/** Entries in one append, as in one command of the pipeline. */
const APPENDED = 4;
const GROUP = 'bench';

const APPEND = 'append';
const CONSUME = 'consume, acknowledge, delete';
const XADD = 'redis-benchmark, XADD pipelined';

interface Scene {
  redis: Redis;
  url: string;
  pid: number;
  entries: number;
  fields: Fields;
}

export async function bench({ records = 200_000, rounds = 5, json }: BenchOptions): Promise<void> {
  const report = new Report('streams', { redis: programVersion('redis-server') }, { quiet: json });
  await using server = await startRedis({ aof: true });
  const redis = connect(server.url, { name: 'bench' });
  try {
    const entries = Math.ceil(records / RECORDS_AN_ENTRY);
    const fields = { events: `[${'x'.repeat(RECORDS_AN_ENTRY * BYTES_A_RECORD)}]` };
    const scene = { redis, url: server.url, pid: server.pid, entries, fields };
    report.say(
      `  ${entries} entries of ${fields.events.length} B (${RECORDS_AN_ENTRY} records), append-only file on`,
    );
    const standings = await inTurns({ contestants: contestantsOf(scene), rounds, warmUp: 1 });
    report.standings(standings, 'records');
    const over = (name: string) => round(standings[name]!.rate / standings[XADD]!.rate);
    report.result({
      append_vs_redis_benchmark: over(APPEND),
      consume_vs_redis_benchmark_xadd: over(CONSUME),
    });
  } finally {
    redis.disconnect();
  }
}

/** What one turn appends the next one consumes. */
function contestantsOf(scene: Scene): Contestant[] {
  const { redis, entries, fields } = scene;
  const producer = new Producer(redis, 'bench', { highWaterBytes: 4 * 2 ** 30, memoryShare: 1 });
  return [
    {
      name: APPEND,
      async run() {
        await redis.del(keysOf(redis, 'bench').stream);
        return measured(scene, async () => {
          for (let done = 0; done < entries; done += APPENDED) {
            await producer.append(Array(Math.min(APPENDED, entries - done)).fill(fields));
          }
        });
      },
    },
    { name: CONSUME, run: () => measured(scene, () => consumeAll(scene)) },
    { name: XADD, run: () => redisBenchmark(scene) },
  ];
}

async function consumeAll({ redis, entries }: Scene): Promise<void> {
  const done = new AbortController();
  let seen = 0;
  await consume<number>({
    redis,
    stream: 'bench',
    group: GROUP,
    consumer: 'one',
    decode: (read: ReadFields) => read['events']!.length,
    // As many repos, so that the lanes share the work.
    key: () => `${seen % 64}`,
    count: () => RECORDS_AN_ENTRY,
    batchItems: 5_000,
    lanes: 2,
    async write(batch) {
      seen += batch.length;
      if (seen >= entries) done.abort();
    },
    signal: done.signal,
  });
}

const run = promisify(execFile);

/** Redis puts AOF and stream to the same work as ours; its stream is dropped outside of the measured time. */
async function redisBenchmark(scene: Scene): Promise<Measure> {
  const { redis, url, entries, fields } = scene;
  const { port } = new URL(url);
  const requests = ['-p', port, '-n', `${entries}`, '-c', '1', '-P', `${APPENDED}`, '--csv'];
  const measure = await measured(scene, () =>
    run('redis-benchmark', [...requests, 'XADD', 'plain', '*', 'events', fields['events']!]),
  );
  await redis.del('plain');
  return measure;
}

async function measured({ entries, pid }: Scene, work: () => Promise<unknown>): Promise<Measure> {
  const before = { at: performance.now(), node: process.cpuUsage(), redis: cpuSecondsOfTree(pid) };
  await work();
  const seconds = (performance.now() - before.at) / 1000;
  const costs = { 'node CPU': cpuSince(before.node), 'Redis CPU': cpuSecondsOfTree(pid) - before.redis };
  return { seconds, items: entries * RECORDS_AN_ENTRY, costs };
}
