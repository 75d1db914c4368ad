/**
 * What a record costs in PostgreSQL and Redis: the figures of docs/operations.md.
 *
 *     node test/bench/sizes.ts [REPOS]        800 repos, some 190,000 records, if not said otherwise
 *
 * Records of the simulated network (its mix of collections: test/simulator/content/plan.ts),
 * written by the indexer's own writer as first fetches. Sizes only: nothing here is timed.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { applyEvents } from '@headwater/database';
import { beginFetch } from '@headwater/database/fetches';
import { migrate } from '@headwater/database/migrate';
import { databasePool, type Pool } from '@headwater/database/pool';
import { encodeEvent, encodeEvents, encodeRepoJob, type StreamEvent } from '@headwater/events';
import { startPostgresServer, startRedisServer } from '@headwater/local';
import { connect, Producer, type Redis } from '@headwater/streams';
import { Catalog } from '../simulator/content/catalog.ts';
import { baseRecords } from '../simulator/content/records.ts';
import { encodeJson } from '../simulator/protocol/cbor.ts';
import { cidOf, cidText } from '../simulator/protocol/cid.ts';
import { tidOf } from '../simulator/protocol/tid.ts';

const repos = Number(process.argv[2] ?? 800);
const time = '2026-01-01T00:00:00.000Z';
const catalog = new Catalog({ seed: 5, repos, recordsPerRepo: 250 });
const folder = await mkdtemp(join(tmpdir(), 'headwater-sizes-'));
await chmod(folder, 0o755);
const postgres = await startPostgresServer({
  folder: join(folder, 'postgres'),
  settings: { fsync: 'off', max_wal_size: '8GB' },
});
const server = await startRedisServer({ folder: join(folder, 'redis') });
try {
  await migrate(postgres.url);
  const pool = databasePool({ url: postgres.url, max: 4, applicationName: 'sizes' });
  const redis = connect(server.url);
  console.log({ ...(await inPostgres(pool)), ...(await inRedis(redis)) });
  redis.disconnect();
  await pool.end();
} finally {
  await Promise.all([postgres.stop(), server.stop()]);
  for (const each of [postgres.folder, folder]) await rm(each, { recursive: true, force: true });
}

async function inPostgres(pool: Pool) {
  const [{ start }] = await rows<{ start: string }>(pool, 'SELECT pg_current_wal_lsn() AS start');
  let records = 0;
  let batch: StreamEvent[][] = [];
  for (let i = 0; i < repos; i++) {
    const parts = fetchOf(i);
    await beginFetch(pool, { did: catalog.did(i), rev: revOf(i), fetch: `f${i}` });
    records += parts.flat().filter(({ type }) => type === 'create').length;
    batch.push(...parts);
    if (batch.flat().length < 5000 && i < repos - 1) continue;
    await applyEvents(pool, batch);
    batch = [];
  }
  const [{ wal }] = await rows<{ wal: number }>(
    pool,
    `SELECT pg_current_wal_lsn() - '${start}'::pg_lsn AS wal`,
  );
  await pool.query('VACUUM');
  const [{ total, indexes }] = await rows<{ total: number; indexes: number }>(
    pool,
    `SELECT sum(pg_total_relation_size(c.oid)) AS total, sum(pg_indexes_size(c.oid)) AS indexes
     FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind = 'r' AND nspname IN ('bsky', 'headwater')`,
  );
  return {
    records,
    tableBytes: Math.round(total / records),
    ofThemIndexes: indexes / total,
    walBytes: Math.round(wal / records),
  };
}

async function inRedis(redis: Redis) {
  const fetches = Array.from({ length: Math.min(repos, 200) }, (_, i) => fetchOf(i)).flat();
  const packed = fetches.flat().length;
  const live = fetches
    .flat()
    .slice(0, 5000)
    .map((event) => encodeEvent({ ...event, seq: 1, since: revOf(1), data: cidOfText('data') }));
  const jobs = Array.from({ length: 5000 }, (_, i) =>
    encodeRepoJob({ did: catalog.did(i % repos), host: 'bsky.network', rev: revOf(i), active: true }),
  );
  return {
    packedRecordBytes: await bytesEach(redis, 'firehose_backfill', fetches.map(encodeEvents), packed),
    liveEntryBytes: await bytesEach(redis, 'firehose_live', live, live.length),
    repoJobBytes: await bytesEach(redis, 'repo_backfill', jobs, jobs.length),
  };
}

async function bytesEach(redis: Redis, stream: string, entries: Record<string, string>[], count: number) {
  const producer = new Producer(redis, stream);
  for (let at = 0; at < entries.length; at += 100) await producer.append(entries.slice(at, at + 100));
  return Math.round(Number(await redis.call('MEMORY', 'USAGE', stream, 'SAMPLES', '0')) / count);
}

/** A repo's first fetch, as the backfiller sends it. */
function fetchOf(index: number): StreamEvent[][] {
  const base = {
    seq: -1,
    time,
    did: catalog.did(index),
    commit: cidOfText(`commit ${index}`),
    rev: revOf(index),
  };
  const events = [...baseRecords(catalog, index)]
    .filter(([path]) => path.startsWith('app.bsky.'))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, record]): StreamEvent => {
      const [collection, rkey] = path.split('/') as [string, string];
      return { type: 'create', ...base, collection, rkey, cid: cidText(cidOf(encodeJson(record))), record };
    });
  const parts = Math.max(1, Math.ceil(events.length / 200));
  return Array.from({ length: parts }, (_, part) => {
    const own = events.slice(part * 200, (part + 1) * 200);
    if (part === parts - 1) own.push({ type: 'repo', ...base, parts });
    return own.map((event, i) => (i === 0 ? { ...event, fetch: `f${index}`, part, fresh: true } : event));
  });
}

function revOf(index: number): string {
  return tidOf((Date.UTC(2026, 0, 1) + index) * 1000, 1);
}

function cidOfText(text: string): string {
  return cidText(cidOf(Buffer.from(text)));
}

async function rows<T>(pool: Pool, sql: string): Promise<[T]> {
  return (await pool.query(sql)).rows as [T];
}
