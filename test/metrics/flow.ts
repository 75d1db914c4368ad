import { pause, type Redis, resume } from '@headwater/streams';
import type pg from 'pg';
import { configure } from '../support/redis.ts';
import { eventually } from '../sync/world.ts';
import { type Cause, fetchAgain, say, someAccount } from './cause.ts';

let session: pg.PoolClient;

/** Resolves when no consumer is left in the group: who is paused leaves it once all that it had is done. */
async function hasLeft(redis: Redis, stream: string, group: string): Promise<void> {
  await eventually(async () => {
    const consumers = await redis.xinfo('CONSUMERS', stream, group);
    return (consumers as unknown[]).length;
  }).toBe(0);
}

/** Water that flows, and water that is held up. */
export const flow: Cause[] = [
  {
    name: 'a network is listed, fetched and followed',
    act: async ({ world }) => world.start(),
    meanwhile: async ({ world }) => world.network.step(),
    moves: {
      headwater_identity_lookups_total: {},
      headwater_handle_lookups_total: {},
      headwater_ingester_connected: { feed: 'firehose' },
      headwater_ingester_last_seq: { feed: 'labels' },
      headwater_ingester_last_event_timestamp_seconds: { feed: 'firehose' },
      headwater_ingester_events_total: { feed: 'firehose', type: 'commit' },
      headwater_ingester_statements_total: { verdict: 'verified' },
      headwater_ingester_list_pages_total: {},
      headwater_ingester_listed_repos_total: { state: 'active' },
      headwater_ingester_enumerations: { state: 'done' },
      headwater_ingester_host_looks_total: {},
      headwater_backfiller_repos_total: { outcome: 'sent' },
      headwater_backfiller_fetched_bytes_total: {},
      headwater_backfiller_step_seconds: { step: 'fetch' },
      headwater_backfiller_parts_total: {},
      headwater_backfiller_events_total: { type: 'create' },
      headwater_indexer_rows_total: { table: 'post' },
      headwater_indexer_count_deltas_total: { count: 'post_agg.likeCount' },
      headwater_indexer_records_total: { change: 'written' },
      headwater_indexer_entries_total: {},
      headwater_indexer_batch_events: { stream: 'firehose_live' },
      headwater_indexer_batch_seconds: { stream: 'firehose_backfill' },
      headwater_indexer_commits_total: { outcome: 'extended' },
      headwater_indexer_repos_completed_total: {},
      headwater_indexer_live_delay_seconds: {},
      headwater_indexer_labels_total: { outcome: 'applied' },
      headwater_indexer_handles_total: {},
      headwater_stream_appended_entries_total: { stream: 'firehose_live' },
      headwater_stream_appended_bytes_total: { stream: 'firehose_backfill' },
      headwater_stream_read_entries_total: { stream: 'firehose_live', from: 'new' },
      headwater_stream_read_bytes_total: { stream: 'repo_backfill' },
      headwater_stream_write_seconds: { stream: 'firehose_live', outcome: 'ok' },
      headwater_stream_write_entries: { stream: 'firehose_live' },
      headwater_stream_ended_entries_total: { stream: 'firehose_live', ending: 'written' },
      headwater_stream_consumers: { stream: 'firehose_live' },
      headwater_redis_memory_used_bytes: {},
    },
  },
  {
    name: 'PostgreSQL keeps the indexer waiting',
    act: async (place) => {
      session = await place.world.pool.connect();
      await session.query('BEGIN');
      await session.query('LOCK TABLE headwater.repo IN ACCESS EXCLUSIVE MODE');
      say(place, 20);
    },
    moves: {
      headwater_stream_pending_entries: { stream: 'firehose_live' },
      headwater_stream_oldest_pending_seconds: { stream: 'firehose_live' },
      headwater_stream_in_hand_entries: { stream: 'firehose_live' },
      headwater_stream_in_hand_bytes: { stream: 'firehose_live' },
    },
    undo: async () => {
      await session.query('ROLLBACK');
      session.release();
    },
  },
  {
    name: 'the indexer is paused while accounts write',
    act: async (place) => {
      const { redis } = place.world;
      await pause(redis, 'indexer-live', { by: 'test', reason: null });
      // Before that it may make room once more for who waits already.
      await hasLeft(redis, 'firehose_live', 'firehose_group');
      say(place, 400);
    },
    moves: {
      headwater_stream_length_entries: { stream: 'firehose_live' },
      headwater_stream_length_bytes: { stream: 'firehose_live' },
      headwater_stream_lag_entries: { stream: 'firehose_live' },
      headwater_stream_backpressure: { stream: 'firehose_live', pressure: 'entries' },
    },
  },
  {
    name: 'it goes on',
    follows: true,
    act: ({ world }) => resume(world.redis, 'indexer-live'),
    moves: { headwater_stream_backpressure_seconds_total: { stream: 'firehose_live', pressure: 'entries' } },
  },
  {
    name: 'unread entries are deleted from a long stream',
    act: async ({ world: { redis } }) => {
      await pause(redis, 'repo-backfiller', { by: 'test', reason: null });
      await hasLeft(redis, 'repo_backfill', 'repo_backfill_group');
      const ids: string[] = [];
      for (let i = 0; i < 1200; i++) ids.push((await redis.xadd('repo_backfill', '*', 'repo', '{}'))!);
      await redis.xdel('repo_backfill', ids[600]!);
    },
    moves: { headwater_stream_lag_unknown: { stream: 'repo_backfill' } },
    undo: async ({ world: { redis } }) => {
      await redis.xtrim('repo_backfill', 'MAXLEN', 0);
      await resume(redis, 'repo-backfiller');
    },
  },
  {
    name: 'Redis is given a limit and a log',
    act: async ({ world: { redis } }) => {
      await configure(redis, 'maxmemory', '1gb');
      await configure(redis, 'appendonly', 'yes');
    },
    moves: { headwater_redis_memory_max_bytes: {}, headwater_redis_durable: {} },
  },
  {
    name: 'a host sends slowly',
    act: async (place) => {
      const { did } = someAccount(place);
      const slow = { fault: 'slow-body', method: 'com.atproto.sync.getRepo', bytesPerSecond: 50 } as const;
      place.world.network.faults.inject({ ...slow, did });
      await fetchAgain(place, did);
    },
    moves: { headwater_backfiller_repos_in_flight: {}, headwater_backfiller_slots_lent: {} },
    undo: async ({ world }) => world.network.faults.clear(),
  },
];
