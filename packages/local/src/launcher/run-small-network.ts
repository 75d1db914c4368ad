import { join } from 'node:path';
import { collectionFilter } from '@headwater/events';
import { keysOf } from '@headwater/streams';
import { showComparison, showHowToLook } from './closing.ts';
import { compareRepos } from './compare.ts';
import { type Display, number } from './display.ts';
import type { Options } from './options.ts';
import { ALONE, type Pipeline } from './pipeline.ts';
import { listRepos, makeChanges } from './small-network.ts';
import { isBackfilled } from './state.ts';
import { watchUntil } from './watch.ts';

/**
 * Settings for a network on this machine: nobody needs to be spared, one wants
 * to see changes at once, and after a crash there is nobody else to wait for.
 */
const DEFAULTS = {
  ...ALONE,
  BACKFILLER_HOST_REQUESTS_PER_SECOND: '500',
  BACKFILLER_HOST_CONCURRENCY: '10',
  INGESTER_BATCH_TIMEOUT_MS: '100',
};

/** Where the network is, and what the database knew before this start. */
export interface Groundwork {
  plcUrl: string;
  pdsUrl: string;
  /** The name of the newest whole fetch of each repo. */
  fetches: Map<string, string>;
}

/** What can be done while the network comes up: servers, and the services that wait for work. */
export async function layGround(
  pipeline: Pipeline,
  addresses: { plcUrl: string; pdsUrl: string },
  options: Options,
  signal: AbortSignal,
): Promise<Groundwork> {
  await pipeline.startServers(signal);
  const ground = { ...addresses, fetches: await fetchesOf(pipeline) };
  await pipeline.startServices(['indexer', 'repo-backfiller'], defaultsFor(options), settingsFor(addresses));
  return ground;
}

/**
 * The main job on the small network: enumerate, backfill, index, then changes
 * as they are made, then the comparison. Returns whether all is equal.
 */
export async function runOnSmallNetwork(
  pipeline: Pipeline,
  network: Groundwork,
  options: Options,
  signal: AbortSignal,
): Promise<boolean> {
  const { display } = pipeline.options;
  const host = new URL(network.pdsUrl).host;
  const before = network.fetches;
  if (before.size > 0) display.line(`Going on with ${number(before.size)} repos of an earlier start.`);
  // Looked at again at every start, not only after five minutes: to show what is (not) fetched again.
  await pipeline.redis.del(keysOf(pipeline.redis, 'repo_backfill').cursor(host));
  await pipeline.startServices(['ingester'], defaultsFor(options), settingsFor(network));

  display.line('1. What is there: enumerate, fetch, index');
  const repos = await listRepos(network.pdsUrl);
  await watchUntil(
    pipeline,
    host,
    async (state) => isBackfilled(state) && (await isCurrent(pipeline, repos)),
    signal,
  );
  display.keep();
  await reportFetches(pipeline, display, before, repos.length);

  display.line();
  display.line('2. What happens now: changes made on the PDS while the pipeline runs');
  await showChanges(pipeline, network, signal);
  const after = await listRepos(network.pdsUrl);
  await waitQuietly(() => isCurrent(pipeline, after), pipeline, signal);

  display.line();
  display.line('3. Comparison, record by record: what the PDS answers, what PostgreSQL holds');
  const wanted = collectionFilter(options.collections.length > 0 ? options.collections : ['app.bsky.*']);
  const dids = after.map(({ did }) => did);
  const sources = dids.map((did) => ({ did, pds: network.pdsUrl }));
  const counts = await compareRepos(pipeline.sql, pipeline.schema, sources, wanted);
  const repoCounts = { pds: dids.length, postgres: await actorsOf(pipeline, dids) };
  const equal = await showComparison(pipeline, repoCounts, counts, dids);
  showHowToLook(pipeline, display);
  return equal;
}

function defaultsFor(options: Options): Record<string, string> {
  return options.collections.length === 0
    ? DEFAULTS
    : { ...DEFAULTS, INDEXER_COLLECTIONS: options.collections.join(',') };
}

function settingsFor({ plcUrl, pdsUrl }: { plcUrl: string; pdsUrl: string }): Record<string, string> {
  return {
    PLC_URL: plcUrl,
    INGESTER_RELAY_HOSTS: new URL(pdsUrl).host,
    INGESTER_LABELER_HOSTS: ',',
    // A PDS is all the hosts there are.
    INGESTER_HOSTS_FROM_RELAY: 'false',
    HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
  };
}

/** The name of the newest whole fetch of each repo that has one. */
async function fetchesOf(pipeline: Pipeline): Promise<Map<string, string>> {
  const rows = await pipeline.sql<{ did: string; fetch: string }[]>`
    SELECT did, fetch_id AS fetch FROM headwater.repo WHERE fetch_id IS NOT NULL`;
  return new Map(rows.map(({ did, fetch }) => [did, fetch]));
}

async function reportFetches(
  pipeline: Pipeline,
  display: Display,
  before: Map<string, string>,
  listed: number,
): Promise<void> {
  const now = await fetchesOf(pipeline);
  const first = [...now.keys()].filter((did) => !before.has(did)).length;
  const again = [...now].filter(([did, fetch]) => before.has(did) && before.get(did) !== fetch).length;
  const bytes = await pipeline.metric('repo-backfiller', 'headwater_backfiller_fetched_bytes_total');
  const fetched = `${number(first)} fetched for the first time, ${number(again)} repos fetched again`;
  display.line(`  ${number(listed)} repos listed: ${fetched} (${number(Math.round(bytes / 1024))} KiB read)`);
}

/** Whether PostgreSQL has every repo at the rev that the PDS listed, or a newer one. */
async function isCurrent(pipeline: Pipeline, repos: { did: string; rev: string }[]): Promise<boolean> {
  const rows = await pipeline.sql<{ did: string; head: string | null }[]>`
    SELECT did, head FROM headwater.repo WHERE state = 'complete'`;
  const heads = new Map(rows.map(({ did, head }) => [did, head ?? '']));
  return repos.every(({ did, rev }) => (heads.get(did) ?? '') >= rev);
}

async function actorsOf(pipeline: Pipeline, dids: string[]): Promise<number> {
  const [row] = await pipeline.sql<{ count: number }[]>`
    SELECT count(*)::int AS count FROM ${pipeline.sql(pipeline.schema)}.actor WHERE did = ANY(${dids})`;
  return row!.count;
}

async function showChanges(pipeline: Pipeline, network: Groundwork, signal: AbortSignal): Promise<void> {
  const { display } = pipeline.options;
  const { sql, schema } = pipeline;
  const visible = async (uris: string[]) => {
    const rows = await sql<{ uri: string }[]>`SELECT uri FROM ${sql(schema)}.record WHERE uri = ANY(${uris})`;
    return new Set(rows.map(({ uri }) => uri));
  };
  const show = (made: number, seen: number) => {
    if (process.stdout.isTTY)
      display.block([`  live        ${made} changes made, ${seen} of them in PostgreSQL`]);
  };
  const { changes, delays } = await makeChanges(network.pdsUrl, visible, show, signal);
  const at = (share: number) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))];
  display.block([
    `  live        ${changes} changes made; in PostgreSQL after ${at(0.5)} ms (median), ${at(1)} ms (longest)`,
  ]);
  display.keep();
}

async function waitQuietly(
  done: () => Promise<boolean>,
  pipeline: Pipeline,
  signal: AbortSignal,
): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await done()) && Date.now() < end) {
    signal.throwIfAborted();
    await Promise.race([pipeline.failed, new Promise((resolve) => setTimeout(resolve, 50))]);
  }
}

/** Where the small network keeps its data. */
export function networkFolder(options: Options): string {
  return join(options.folder, 'network');
}
