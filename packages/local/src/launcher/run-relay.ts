import { collectionFilter } from '@headwater/events';
import { keysOf } from '@headwater/streams';
import { hostKey, hostUrl } from '@headwater/xrpc';
import { showComparison, showHowToLook } from './closing.ts';
import { type CollectionCount, compareRepos, isEqual, type RepoSource } from './compare.ts';
import { number } from './display.ts';
import type { Options } from './options.ts';
import { ALONE, type Pipeline } from './pipeline.ts';
import { isBackfilled, reposIn, type State } from './state.ts';
import { watchUntil } from './watch.ts';

/** Repos that the closing comparison looks at: each costs its PDS some requests. */
const COMPARED = 10;
/** Larger ones are left out of it. */
const COMPARED_RECORDS = 5_000;
const DEFAULT_COLLECTIONS = ['app.bsky.*', 'chat.bsky.actor.declaration', 'com.germnetwork.declaration'];

/**
 * The main job on a relay of the real network, or on a PDS: enumerate (or the
 * DIDs given), fetch, index, follow. Ends with a comparison of some repos with
 * their PDS when all is fetched, which for a whole network takes days.
 */
export async function runOnRelay(pipeline: Pipeline, options: Options, signal: AbortSignal): Promise<void> {
  const { display } = pipeline.options;
  const relay = options.relay!;
  const host = hostKey(relay);
  if (options.dids.length === 0)
    await pipeline.redis.del(keysOf(pipeline.redis, 'repo_backfill').cursor(host));
  const known = await knownRepos(pipeline);
  if (known > 0) display.line(`Going on with ${number(known)} repos of an earlier start.`);
  await pipeline.startServices(['indexer', 'repo-backfiller', 'ingester'], ALONE, settingsFor(options));

  const done = (state: State) =>
    options.dids.length > 0 ? areSettled(pipeline, options.dids) : isBackfilled(state);
  const state = await watchUntil(pipeline, host, done, signal);
  display.keep();
  display.line();
  display.line(`${number(reposIn(state, 'complete'))} repos complete. Some of them compared with their PDS:`);
  const patterns = options.collections.length > 0 ? options.collections : DEFAULT_COLLECTIONS;
  const dids = await sample(pipeline, options.dids);
  const { compared, counts } = await comparison(pipeline, dids, collectionFilter(patterns), signal);
  const repos = { pds: compared.length, postgres: compared.length };
  const equal = await showComparison(pipeline, repos, counts, compared);
  if (!equal) {
    display.line(
      'A record that its lexicon refuses is missing on purpose; one written this second may be on its way.',
    );
  }
  showHowToLook(pipeline, display);
}

function settingsFor(options: Options): Record<string, string> {
  const settings: Record<string, string> = { INGESTER_RELAY_HOSTS: options.relay! };
  if (options.dids.length > 0) settings['INGESTER_DIDS'] = options.dids.join(',');
  if (options.collections.length > 0) settings['INDEXER_COLLECTIONS'] = options.collections.join(',');
  // A relay on this machine stands for a network on this machine.
  if (/^(localhost|127\.|\[::1\])/.test(hostUrl(options.relay!).host)) {
    settings['HEADWATER_ALLOW_PRIVATE_ADDRESSES'] = 'true';
    settings['INGESTER_LABELER_HOSTS'] = ',';
    settings['INGESTER_HOSTS_FROM_RELAY'] = 'false';
  }
  return settings;
}

async function knownRepos(pipeline: Pipeline): Promise<number> {
  const [row] = await pipeline.sql<{ count: number }[]>`SELECT count(*)::int AS count FROM headwater.repo`;
  return row!.count;
}

async function areSettled(pipeline: Pipeline, dids: string[]): Promise<boolean> {
  const [row] = await pipeline.sql<{ count: number }[]>`
    SELECT count(*)::int AS count FROM headwater.repo
    WHERE did = ANY(${dids}) AND state IN ('complete', 'unavailable', 'failed')`;
  return row!.count === new Set(dids).size;
}

async function sample(pipeline: Pipeline, dids: string[]): Promise<string[]> {
  const { sql, schema } = pipeline;
  const rows = await sql<{ did: string }[]>`
    SELECT did FROM headwater.repo r WHERE state = 'complete' ${dids.length > 0 ? sql`AND did = ANY(${dids})` : sql``}
    AND (SELECT count(*) FROM (SELECT 1 FROM ${sql(schema)}.record WHERE did = r.did LIMIT ${COMPARED_RECORDS + 1}) AS few) <= ${COMPARED_RECORDS}
    LIMIT ${COMPARED}`;
  return rows.map(({ did }) => did);
}

/** Repos that differ are looked at again: they may have changed in between. */
async function comparison(
  pipeline: Pipeline,
  dids: string[],
  wanted: (collection: string) => boolean,
  signal: AbortSignal,
): Promise<{ compared: string[]; counts: CollectionCount[] }> {
  const total = new Map<string, CollectionCount>();
  const compared: string[] = [];
  for (const did of dids) {
    signal.throwIfAborted();
    const source = await pdsOf(did).catch(() => undefined);
    if (source === undefined) continue;
    let counts = await compareRepos(pipeline.sql, pipeline.schema, [source], wanted).catch(() => undefined);
    if (counts?.some((count) => !isEqual(count))) {
      await new Promise((resolve) => setTimeout(resolve, 2000));
      counts = await compareRepos(pipeline.sql, pipeline.schema, [source], wanted).catch(() => undefined);
    }
    if (counts === undefined) continue;
    compared.push(did);
    for (const count of counts) add(total, count);
  }
  return { compared, counts: [...total.values()].sort((a, b) => (a.collection < b.collection ? -1 : 1)) };
}

function add(total: Map<string, CollectionCount>, count: CollectionCount): void {
  const sum = total.get(count.collection);
  if (sum === undefined) {
    total.set(count.collection, { ...count });
    return;
  }
  for (const key of ['pds', 'postgres', 'missing', 'extra', 'different'] as const) sum[key] += count[key];
}

async function pdsOf(did: string): Promise<RepoSource> {
  const plc = process.env['PLC_URL'] || 'https://plc.directory';
  const url = did.startsWith('did:web:') ? `https://${did.slice(8)}/.well-known/did.json` : `${plc}/${did}`;
  const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
  const document = (await response.json()) as { service?: { id: string; serviceEndpoint: string }[] };
  const service = document.service?.find(({ id }) => id === '#atproto_pds' || id === `${did}#atproto_pds`);
  if (service === undefined) throw new Error(`${did} names no PDS`);
  return { did, pds: service.serviceEndpoint.replace(/\/$/, '') };
}
