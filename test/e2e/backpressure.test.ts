import { encodeEvent, type RecordEvent } from '@headwater/events';
import { connect, Producer } from '@headwater/streams';
import postgres from 'postgres';
import { expect, it } from 'vitest';
import { tidOf } from '../support/crowd.ts';
import { createDatabase } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { cidOf, didOf } from '../support/repos.ts';
import { startService, untilDrained } from '../support/services.ts';

const ENTRIES = 100_000;
const MARK = 1_000;
const BATCH = 500;
const REPOS = 200;

it(`${ENTRIES} entries through a mark of ${MARK} and a slow indexer: bounded, nothing lost, nothing twice`, async () => {
  await using database = await createDatabase();
  await using server = await startRedis();
  const place = {
    redisUrl: server.url,
    databaseUrl: database.url,
    plcUrl: 'http://127.0.0.1:9',
    env: {
      ...{ INDEXER_STREAMS: 'firehose_live', INDEXER_CONCURRENCY: '1', INDEXER_BATCH_SIZE: '250' },
      // No backfiller runs here to fetch repos that say that they begin.
      ...{ INDEXER_HANDLE_CONCURRENCY: '0', INDEXER_GAP_GRACE_MS: '86400000' },
    },
  };
  await using indexer = await startService('indexer', place);
  const redis = connect(server.url);
  const producer = new Producer(redis, 'firehose_live', { highWaterMark: MARK });
  let longest = 0;
  let over = false;
  const watching = (async () => {
    const watch = connect(server.url);
    while (!over) longest = Math.max(longest, await watch.xlen('firehose_live'));
    watch.disconnect();
  })();
  for (let from = 0; from < ENTRIES; from += BATCH) {
    await producer.append(
      Array.from({ length: BATCH }, (_, i) => encodeEvent(follow(from + i))),
      {},
    );
  }
  over = true;
  await watching;
  // The indexer asks for repos that it knows from live commits alone to be fetched; nobody does that here.
  await untilDrained(server.url, () => true, 120_000, ['firehose_live']);
  expect(longest).toBeGreaterThan(MARK / 2);
  expect(longest).toBeLessThanOrEqual(MARK + BATCH);
  const sql = postgres(database.url, { max: 1 });
  const [rows] = await sql`SELECT
    (SELECT count(*)::int FROM bsky.record) AS records, (SELECT count(*)::int FROM bsky.follow) AS follows,
    (SELECT sum("followsCount")::int FROM bsky.profile_agg) AS counted, (SELECT count(*)::int FROM bsky.duplicate_record) AS twice`;
  expect(rows).toEqual({ records: ENTRIES, follows: ENTRIES, counted: ENTRIES, twice: 0 });
  await sql.end();
  redis.disconnect();
  await indexer.stop();
}, 300_000);

/** The `n`th entry: each repo's commits follow each other without a gap. */
function follow(n: number): RecordEvent {
  const [repo, turn] = [n % REPOS, Math.floor(n / REPOS)];
  const createdAt = new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString();
  const record = { $type: 'app.bsky.graph.follow', subject: didOf(`followed-${turn}`), createdAt };
  return {
    type: 'create',
    seq: n + 1,
    time: createdAt,
    did: didOf(`follower-${repo}`),
    commit: cidOf({ n }),
    rev: tidOf(turn + 1),
    since: turn === 0 ? null : tidOf(turn),
    collection: 'app.bsky.graph.follow',
    rkey: tidOf(n),
    cid: cidOf(record),
    record,
  };
}
