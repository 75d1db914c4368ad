/**
 * From a live frame to its row: the bench follows the relay as the ingester
 * does, and asks PostgreSQL for what it saw until it is there. First while a
 * backfill keeps the same services busy, then with nothing else to do.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeFrame } from '@headwater/repo';
import pg from 'pg';
import WebSocket from 'ws';
import type { RemoteNetwork } from '../simulator/remote.ts';
import { Report, round } from './harness.ts';
import { programVersion } from './machine.ts';
import type { BenchOptions } from './options.ts';
import { completeRepos, type Pipeline, startPipeline, untilListening } from './pipeline.ts';

/** Operations of the network's life a second. */
const LIVE = 100;
const IDLE_SECONDS = 15;
/** How often PostgreSQL is asked; what is measured is late by half of it. */
const LOOK_MS = 2;
/** What is not there by then counts as that late. */
const GIVE_UP_MS = 20_000;
/** What a look asks for at most. */
const LOOKED_FOR = 1000;
const RECORDS_A_REPO = 250;
const QUIET_LIFE = {
  create: 0,
  hide: 0,
  reactivate: 0,
  delete: 0,
  handle: 0,
  rotate: 0,
  migrate: 0,
  sync: 0,
};

export async function bench({ records = 60_000, json }: BenchOptions): Promise<void> {
  const repos = Math.max(8, Math.ceil(records / RECORDS_A_REPO));
  await using pipeline = await startPipeline({
    network: { seed: 6, repos, recordsPerRepo: RECORDS_A_REPO, hosts: 8, clock: 'wall', rates: QUIET_LIFE },
  });
  const { postgres, network } = pipeline;
  const versions = { PostgreSQL: postgres.version, Redis: programVersion('redis-server') };
  const report = new Report('latency', versions, { quiet: json });
  await pipeline.start();
  const begun = performance.now();
  // What came before it listened, it finds with the backfill: nothing about the way of a live frame.
  await untilListening(pipeline);
  const busy = await watched(pipeline, async () => {
    await liveUntil(network, async () => (await completeRepos(pipeline.url)) >= pipeline.listed);
    report.say(`  backfill of ${pipeline.listed} repos: ${round((performance.now() - begun) / 1000)} s`);
  });
  say(report, `${LIVE} operations/s during the backfill`, busy);
  const idleUntil = performance.now() + IDLE_SECONDS * 1000;
  const idle = await watched(pipeline, () => liveUntil(network, () => performance.now() > idleUntil));
  say(report, `${LIVE} operations/s and nothing else`, idle);
  report.result({
    p50_ms: percentile(idle, 50),
    p99_ms: percentile(idle, 99),
    p50_ms_during_backfill: percentile(busy, 50),
    p99_ms_during_backfill: percentile(busy, 99),
  });
}

/** Lets the network live on, a second at a time, until it is enough. */
async function liveUntil(network: RemoteNetwork, done: () => boolean | Promise<boolean>): Promise<void> {
  do await network.run(LIVE, LIVE);
  while (!(await done()));
}

/** How late every row was whose frame came while `work` ran, in ms, ascending. */
async function watched(pipeline: Pipeline, work: () => Promise<unknown>): Promise<number[]> {
  await using watch = await startWatch(pipeline);
  await work();
  return watch.finish();
}

async function startWatch({ network, url }: Pipeline) {
  /** When each record came that has not been seen in the table, by URI. */
  const pending = new Map<string, number>();
  const delays: number[] = [];
  let working = true;
  const relay = network.addresses.relayUrl.replace('http', 'ws');
  const socket = new WebSocket(`${relay}/xrpc/com.atproto.sync.subscribeRepos`);
  socket.on('message', (data: Buffer) => {
    if (working) note(pending, data);
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const looking = (async () => {
    while (working || pending.size > 0) {
      await sleep(LOOK_MS);
      if (pending.size > 0) await look(client, pending, delays);
    }
  })();
  return {
    async finish(): Promise<number[]> {
      working = false;
      await looking;
      return delays.sort((a, b) => a - b);
    },
    async [Symbol.asyncDispose]() {
      working = false;
      pending.clear();
      socket.terminate();
      await looking;
      await client.end();
    },
  };
}

/** A record that is gone again before anybody looked was never late. */
function note(pending: Map<string, number>, data: Buffer): void {
  const at = performance.now();
  const frame = decodeFrame(data);
  if (frame.type !== '#commit') return;
  for (const { action, path } of frame.ops) {
    const uri = `at://${frame.did}/${path}`;
    if (action === 'create' && path.startsWith('app.bsky.')) pending.set(uri, at);
    else pending.delete(uri);
  }
}

async function look(client: pg.Client, pending: Map<string, number>, delays: number[]): Promise<void> {
  const { rows } = await client.query<{ uri: string }>({
    name: 'look',
    text: 'SELECT uri FROM bsky.record WHERE uri = ANY($1)',
    values: [[...pending.keys().take(LOOKED_FOR)]],
  });
  const now = performance.now();
  const take = (uri: string) => {
    const at = pending.get(uri);
    if (at !== undefined) delays.push(now - at);
    pending.delete(uri);
  };
  for (const { uri } of rows) take(uri);
  for (const [uri, at] of pending) if (now - at > GIVE_UP_MS) take(uri);
}

function say(report: Report, what: string, delays: readonly number[]): void {
  const at = (share: number) => `${percentile(delays, share)} ms`;
  const lost = delays.filter((delay) => delay > GIVE_UP_MS).length;
  report.say(
    `  ${what}: ${delays.length} records, p50 ${at(50)}, p99 ${at(99)}, latest ${at(100)}; ${lost} never`,
  );
}

function percentile(sorted: readonly number[], share: number): number {
  const rank = Math.ceil((share / 100) * sorted.length);
  return round(sorted[Math.max(0, rank - 1)] ?? Number.NaN);
}
