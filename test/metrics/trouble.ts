import { eventually } from '../sync/world.ts';
import { type Cause, fetchAgain, listAgain, someAccount } from './cause.ts';

const GET_REPO = 'com.atproto.sync.getRepo';

/** What hosts, relays and the directory do wrong. */
export const trouble: Cause[] = [
  {
    name: 'a host sends a repo that nobody can read',
    act: async (place) => {
      const { did } = someAccount(place);
      place.world.network.faults.inject({ fault: 'car-bad-signature', did });
      await fetchAgain(place, did);
    },
    moves: {
      headwater_backfiller_failures_total: {},
      headwater_stream_failed_tries_total: { stream: 'repo_backfill' },
      headwater_stream_dead_entries: { stream: 'repo_backfill' },
    },
    undo: async ({ world }) => world.network.faults.clear(),
  },
  {
    name: 'a host refuses for a while',
    act: async (place) => {
      const { did, host } = someAccount(place);
      const { name } = place.world.network.fleet.hosts[host.index]!.server;
      place.world.network.faults.inject({ fault: 'rate-limit', service: name, method: GET_REPO, seconds: 2 });
      await fetchAgain(place, did);
      await eventually(() => place.world.redis.zcard('repo_backfill:parked')).toBe(1);
      await fetchAgain(place, did);
    },
    moves: {
      headwater_backfiller_hosts_parked: {},
      headwater_backfiller_host_refusals_total: {},
      headwater_stream_parked_entries: { stream: 'repo_backfill' },
    },
    undo: async ({ world }) => world.network.faults.clear(),
  },
  {
    name: 'accounts sign records that are none',
    act: async (place) => {
      const { did } = someAccount(place);
      place.world.network.plant(did, 'record-nan');
      place.world.network.plant(did, 'record-no-text');
      await fetchAgain(place, did);
    },
    moves: {
      headwater_backfiller_unusable_records_total: {},
      headwater_indexer_refused_total: { collection: 'app.bsky.feed.post' },
    },
  },
  {
    name: 'a relay sends what is no frame',
    act: async ({ world }) => world.network.streams.poison('frame-garbage'),
    moves: { headwater_ingester_drops_total: { feed: 'firehose' } },
  },
  {
    name: 'a relay leaves an operation out of a commit',
    act: async (place) => {
      const account = someAccount(place);
      place.world.network.events.next(account.did, 'commit-omitted-op');
      place.world.network.life.touch(account);
    },
    moves: { headwater_ingester_repairs_total: {} },
  },
  {
    name: 'a relay cuts the connection',
    act: async ({ world }) => world.network.streams.cut(),
    moves: { headwater_ingester_reconnects_total: { feed: 'firehose' } },
  },
  {
    name: 'a relay has no answer for a line of its list',
    act: async (place) => {
      place.world.network.faults.inject({ fault: 'list-error', service: 'relay', line: 3 });
      await listAgain(place);
    },
    moves: { headwater_ingester_list_errors_total: {}, headwater_ingester_list_skips_total: {} },
    undo: async ({ world }) => world.network.faults.clear(),
  },
  {
    name: "a relay's cursors go round",
    act: async (place) => {
      place.world.network.faults.inject({ fault: 'list-loop', service: 'relay' });
      await listAgain(place);
    },
    moves: { headwater_ingester_list_loops_total: {} },
    undo: async ({ world }) => world.network.faults.clear(),
  },
  {
    name: 'the directory is away when an account is new',
    act: async ({ world: { network } }) => {
      network.faults.inject({ fault: 'server-error', service: 'plc' });
      network.life.touch(network.life.accounts.create());
    },
    moves: { headwater_ingester_waiting_statements: {} },
    undo: async ({ world }) => world.network.faults.clear(),
  },
  {
    name: 'the identity cache is spoiled',
    act: async () => undefined,
    meanwhile: async (place) => {
      const { redis, network } = place.world;
      // The one slot that the test leaves it.
      await redis.multi().del('identity:0').rpush('identity:0', 'no document').exec();
      await fetchAgain(place, network.life.accounts.create().did);
    },
    moves: { headwater_identity_cache_errors_total: {} },
    undo: ({ world }) => world.redis.del('identity:0'),
  },
];
