import { type CollectionCount, compareRepos, isEqual } from '@headwater/local/compare';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Account, type Network, type RecordRef, startNetwork } from '../support/network.ts';
import { useDatabase } from '../support/postgres.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import {
  type Place,
  type RunningService,
  type ServiceName,
  startService,
  untilDrained,
} from '../support/services.ts';

const SERVICES: ServiceName[] = ['indexer', 'repo-backfiller', 'ingester'];

/** The whole way of the water, once through: a real PLC and PDS, three processes, PostgreSQL. */
describe('from a real PDS to PostgreSQL', () => {
  const database = useDatabase();
  const running: RunningService[] = [];
  let redis: TestRedis;
  let network: Network;
  let sql: postgres.Sql;
  let [ann, bob, eve]: Account[] = [];
  let posts: RecordRef[];

  beforeAll(async () => {
    [redis, network] = await Promise.all([startRedis({ aof: true }), startNetwork()]);
    sql = postgres(database.url, { max: 2, onnotice: () => {} });
    [ann, bob, eve] = [
      await network.createAccount('ann'),
      await network.createAccount('bob'),
      await network.createAccount('eve'),
    ];
    posts = [await ann.post('one'), await ann.post('two'), await bob.post('three')];
    await Promise.all([
      ann.profile({ displayName: 'Ann' }),
      bob.profile({ displayName: 'Bob', description: 'Ö \u{1F30A}' }),
    ]);
    await bob.reply(posts[0]!, 'a reply');
    for (const account of [bob, eve]) await account.like(posts[0]!);
    await eve.delete(await eve.like(posts[1]!));
    await eve.repost(posts[2]!);
    await Promise.all([bob.follow(ann.did), eve.follow(ann.did), ann.block(eve.did)]);
    await ann.create('com.example.thing', { not: 'kept' });
    await network.waitForSequencer();
  });
  afterAll(async () => {
    await Promise.all(running.map((service) => service[Symbol.asyncDispose]()));
    await sql?.end();
    await network?.stop();
    await redis?.stop();
  });

  async function startAll(): Promise<void> {
    const place: Place = {
      redisUrl: redis.url,
      databaseUrl: database.url,
      plcUrl: network.plcUrl,
      env: { INGESTER_RELAY_HOSTS: network.pdsHost, INGESTER_RELIST_MS: '500', INGESTER_LEASE_MS: '2000' },
    };
    running.splice(
      0,
      running.length,
      ...(await Promise.all(SERVICES.map((name) => startService(name, place)))),
    );
  }

  /** Waits until PostgreSQL holds every repo at the rev that the PDS has, then compares record by record. */
  async function expectEqual(): Promise<CollectionCount[]> {
    await network.waitForSequencer();
    const { data } = await ann!.agent.com.atproto.sync.listRepos({ limit: 1000 });
    await untilDrained(redis.url, async () => {
      const rows = await sql<
        { did: string; head: string }[]
      >`SELECT did, head FROM headwater.repo WHERE state = 'complete'`;
      const heads = new Map(rows.map((row) => [row.did, row.head ?? '']));
      return data.repos.every(({ did, rev }) => (heads.get(did) ?? '') >= rev);
    });
    const sources = data.repos.map(({ did }) => ({ did, pds: network.pdsUrl }));
    const counts = await compareRepos(sql, 'bsky', sources, (collection) =>
      collection.startsWith('app.bsky.'),
    );
    expect(counts.filter((count) => !isEqual(count))).toEqual([]);
    return counts;
  }

  it('enumerates, fetches and indexes what is there', async () => {
    await startAll();
    const counts = await expectEqual();
    expect(
      Object.fromEntries(counts.map(({ collection, postgres: rows }) => [collection.slice(9), rows])),
    ).toEqual({
      'actor.profile': 2,
      'feed.like': 2,
      'feed.post': 4,
      'feed.repost': 1,
      'graph.block': 1,
      'graph.follow': 2,
    });
    expect(await sql`SELECT uri FROM bsky.record WHERE uri LIKE '%com.example%'`).toHaveLength(0);
    const [one] = await sql`SELECT * FROM bsky.post_agg WHERE uri = ${posts[0]!.uri}`;
    expect(one).toMatchObject({ likeCount: '2', replyCount: '1' });
    const [profile] = await sql`SELECT * FROM bsky.profile_agg WHERE did = ${ann!.did}`;
    expect(profile).toMatchObject({ followersCount: '2', postsCount: '2' });
    expect(await sql`SELECT did FROM bsky.actor`).toHaveLength(3);
    expect(await sql`SELECT did FROM bsky.actor_sync WHERE "repoRev" IS NOT NULL`).toHaveLength(3);
  });

  it('follows changes as they are made', async () => {
    const fourth = await eve!.post('four');
    await bob!.like(fourth);
    await ann!.profile({ displayName: 'Ann the second' });
    await ann!.delete(posts[1]!);
    const unliked = await ann!.like(posts[2]!);
    await ann!.delete(unliked);
    const late = await network.createAccount('late');
    await late.post('I came after the enumeration');
    await late.follow(ann!.did);
    await expectEqual();
    const [profile] = await sql`SELECT "displayName" FROM bsky.profile WHERE creator = ${ann!.did}`;
    expect(profile).toEqual({ displayName: 'Ann the second' });
    expect(await sql`SELECT * FROM bsky.post WHERE uri = ${posts[1]!.uri}`).toHaveLength(0);
    const likes =
      await sql`SELECT uri, "likeCount" FROM bsky.post_agg WHERE uri IN (${fourth.uri}, ${posts[2]!.uri})`;
    expect(new Map(likes.map((row) => [row['uri'], row['likeCount']])).get(fourth.uri)).toBe('1');
    expect(new Map(likes.map((row) => [row['uri'], row['likeCount']])).get(posts[2]!.uri) ?? '0').toBe('0');
  });

  it('goes on after a stop with what it missed, and fetches nothing again that is unchanged', async () => {
    for (const service of running) await service.stop();
    const fetchesOf = async () =>
      new Map(
        (await sql`SELECT did, fetch_id FROM headwater.repo`).map((row) => [row['did'], row['fetch_id']]),
      );
    const before = await fetchesOf();
    await bob!.post('while you were away');
    await startAll();
    await expectEqual();
    const after = await fetchesOf();
    for (const account of [ann!, eve!]) expect(after.get(account.did)).toBe(before.get(account.did));
  });
});
