import { revAt } from '@headwater/database';
import { encodeEvent, type StreamEvent } from '@headwater/events';
import { eventually } from '../sync/world.ts';
import { type Cause, fetchAgain, someAccount } from './cause.ts';

const DAY_MS = 86_400_000;
/** Before anything that the network holds. */
const LONG_AGO = Date.UTC(2016, 0, 1);

/** What the indexer finds and mends, and what operators do. */
export const upkeep: Cause[] = [
  {
    name: 'a relay loses events without a word',
    act: async (place) => {
      const { network } = place.world;
      const account = someAccount(place);
      await place.world.drained();
      // Nobody fetches the repo for another reason meanwhile.
      await place.world.stop('ingester', 'repo-backfiller');
      network.life.touch(account);
      network.streams.drop({ count: 1, renumber: true });
      network.life.touch(account);
      place.world.start('ingester');
    },
    moves: { headwater_indexer_gaps_total: {} },
    undo: async ({ world }) => world.start('repo-backfiller'),
  },
  {
    name: 'parts of a fetch are lost',
    act: async (place) => {
      const { redis, pool } = place.world;
      const { did } = someAccount(place);
      await place.world.stop('indexer');
      await pool.query('DELETE FROM bsky.record WHERE did = $1', [did]);
      await fetchAgain(place, did);
      const state = 'SELECT state FROM headwater.repo WHERE did = $1';
      await eventually(async () => (await pool.query(state, [did])).rows[0]?.state).toBe('sent');
      await redis.xtrim('firehose_backfill', 'MAXLEN', 0);
      const old = "UPDATE headwater.repo SET updated_at = now() - interval '2 minutes' WHERE did = $1";
      await pool.query(old, [did]);
      place.world.start('indexer');
    },
    moves: { headwater_indexer_lost_fetches_total: {} },
  },
  {
    name: 'a tombstone is older than any event can be',
    act: async (place) => {
      const { did } = someAccount(place);
      const [floor, rev] = [revAt(LONG_AGO), revAt(LONG_AGO + DAY_MS)];
      await place.world.pool.query('UPDATE headwater.repo SET floor = $2 WHERE did = $1', [did, floor]);
      const tombstone = 'INSERT INTO headwater.tombstone (did, path, rev) VALUES ($1, $2, $3)';
      await place.world.pool.query(tombstone, [did, 'app.bsky.feed.post/3kaaaaaaaaa22', rev]);
      await place.world.stop('indexer');
      place.world.start('indexer');
    },
    moves: { headwater_indexer_tombstones_collected_total: {} },
  },
  {
    name: 'an account is deleted',
    act: async (place) => place.world.network.life.accounts.delete(someAccount(place)),
    meanwhile: ({ world }) =>
      world.pool.query('UPDATE headwater.departure SET due = now() WHERE due > now()'),
    moves: {
      headwater_indexer_departures_total: { outcome: 'purged' },
      headwater_indexer_purged_records_total: {},
    },
  },
  {
    name: 'an account is deleted while nobody listens',
    act: async (place) => {
      const { network } = place.world;
      await place.world.stop('ingester');
      network.life.accounts.delete(someAccount(place));
      await network.run({ operations: 120 });
      network.streams.outdate({ keep: 5 });
      place.world.start('ingester');
    },
    moves: { headwater_indexer_absent_accounts_total: {} },
  },
  {
    name: 'an event comes that a fetch has overtaken',
    act: async (place) => {
      const { did } = someAccount(place);
      const rev = revAt(LONG_AGO);
      const event: StreamEvent = {
        type: 'delete',
        seq: 1,
        time: new Date().toISOString(),
        did,
        commit: 'bafy',
        rev,
        collection: 'app.bsky.feed.post',
        rkey: '3kaaaaaaaaa22',
      };
      await place.world.redis.xadd('firehose_live', '*', ...Object.entries(encodeEvent(event)).flat());
    },
    moves: { headwater_indexer_drops_total: { stream: 'firehose_live' } },
  },
  {
    name: 'a handle was verified long ago',
    act: async (place) => {
      const old = new Date(Date.now() - 30 * DAY_MS).toISOString();
      const aged = 'UPDATE bsky.actor SET "indexedAt" = $2 WHERE did = $1';
      await place.world.pool.query(aged, [someAccount(place).did, old]);
    },
    moves: { headwater_indexer_aged_handles_total: {} },
  },
  {
    name: 'a table is away for a moment',
    act: ({ world }) => world.pool.query('ALTER TABLE headwater.handle_due RENAME TO away'),
    moves: { headwater_task_restarts_total: { task: 'handles' } },
    undo: ({ world }) => world.pool.query('ALTER TABLE headwater.away RENAME TO handle_due'),
  },
  {
    name: 'an operator acts on the status page',
    act: async ({ page }) => {
      const csrf = /data-csrf="([^"]+)"/.exec(await (await fetch(page)).text())![1]!;
      for (const name of ['pause', 'resume']) {
        await fetch(`${page}/api/actions/${name}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'x-csrf-token': csrf },
          body: JSON.stringify({ service: 'ingester-labels' }),
        });
      }
    },
    moves: { headwater_console_actions_total: { action: 'pause', outcome: 'done' } },
  },
];
