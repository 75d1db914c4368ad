/** The writer as the indexer drives it, and the comparison as the backfiller does, without Redis between them. */
import { hash } from 'node:crypto';
import { applyEvents, beginFetches as begin, databasePool, markSent, type Pool } from '@headwater/database';
import { decodeEvents, glanceAt } from '@headwater/events';
import type { ReadFields } from '@headwater/streams';
import type { RepoStore } from '../../services/repo-backfiller/src/store.ts';
import { type BenchRepo, entriesOf, open } from './repos.ts';

/** An indexer of whole fetches alone, as docker-compose.prod.yml runs it: sessions; events in one transaction. */
const LANES = 4;
const BATCH = 5_000;

/** Runs `work` with connections of its own. */
export async function withPool<T>(url: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const pool = databasePool({ url, max: 8, applicationName: 'bench', statementTimeoutMs: 0 });
  try {
    return await work(pool);
  } finally {
    await pool.end();
  }
}

/** Announces a fetch of every repo, as the backfiller has done long before the indexer sees its parts. */
export async function beginFetches(
  pool: Pool,
  repos: readonly Pick<BenchRepo, 'did' | 'rev'>[],
  fetch: string,
): Promise<void> {
  const starts = repos.map(({ did, rev }) => ({ did, rev, fetch }));
  for (const [did, answer] of await begin(pool, starts)) {
    if (answer === 'older' || answer === 'complete') throw new Error(`${did}: ${answer}`);
  }
  await markSent(pool, starts);
}

/** Decodes and applies stream entries: the entries of a repo in one lane, one transaction a batch. */
export async function applyEntries(pool: Pool, entries: readonly ReadFields[]): Promise<void> {
  const lanes = Array.from({ length: LANES }, (): ReadFields[] => []);
  for (const fields of entries) lanes[laneOf(fields)]!.push(fields);
  await Promise.all(lanes.map((lane) => applyLane(pool, lane)));
}

async function applyLane(pool: Pool, entries: readonly ReadFields[]): Promise<void> {
  let batch: ReadFields[] = [];
  let events = 0;
  const write = async () => {
    const { refused, drops } = await applyEvents(pool, batch.values().map(decodeEvents));
    if (refused.length + drops.size > 0)
      throw new Error('records were left out', { cause: { refused, drops } });
    batch = [];
    events = 0;
  };
  for (const fields of entries) {
    batch.push(fields);
    events += glanceAt(fields).events;
    if (events >= BATCH) await write();
  }
  if (batch.length > 0) await write();
}

function laneOf(fields: ReadFields): number {
  return hash('sha1', glanceAt(fields).did, 'buffer')[0]! % LANES;
}

/** Reads and verifies a repo, compares it with its rows. @returns what has to be sent */
export async function compareAgain(
  store: RepoStore,
  repo: BenchRepo,
  fetch: string,
): Promise<{ entries: ReadFields[]; sent: Promise<void> }> {
  await using snapshot = await open(repo.car);
  const { did, rev } = snapshot;
  const begun = await store.begin({ did, rev, fetch, force: true });
  const rows = begun === 'fresh' ? undefined : store.rows(did);
  const entries = await entriesOf(snapshot, fetch, { rows });
  return { entries, sent: store.sent(did, fetch) };
}
