import { isDeepStrictEqual } from 'node:util';
import { migrate } from '@headwater/database';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AppView, type Params } from '../reference/appview.ts';
import { diffTables, formatDiff } from '../reference/diff.ts';
import { dumpTables } from '../reference/tables.ts';
import { live, settle, type Town } from '../reference/town.ts';
import { didKey } from '../simulator/protocol/keys.ts';
import { createDatabase, startRedis, type TestDatabase, type TestRedis } from '../support/index.ts';
import { FakeLabeler } from '../support/labeler.ts';
import { type Account, type Network, startNetwork } from '../support/network.ts';
import { type RunningService, type ServiceName, startService, untilDrained } from '../support/services.ts';

const SERVICES: ServiceName[] = ['indexer', 'repo-backfiller', 'ingester'];
/** Not the default one: every statement is to find the tables where DATABASE_SCHEMA says. */
const SCHEMA = 'appview';
const FILTERS = [
  'posts_with_replies',
  'posts_no_replies',
  'posts_with_media',
  'posts_with_video',
  'posts_and_author_threads',
];

/**
 * The real AppView over the tables that our services filled, against the same
 * AppView over those that its own indexer filled from the same PDS.
 */
describe('the AppView answers from our tables as from its own', { timeout: 120_000 }, () => {
  let network: Network;
  let redis: TestRedis;
  let labeler: FakeLabeler;
  let labelerDid: string;
  let theirs: TestDatabase;
  let ours: TestDatabase;
  let reference: AppView;
  let appView: AppView;
  let town: Town;
  const running: RunningService[] = [];
  /** The longest list in the answers of each view. */
  const longest = new Map<string, number>();

  beforeAll(async () => {
    [network, redis, labeler] = await Promise.all([startNetwork(), startRedis(), FakeLabeler.start()]);
    [theirs, ours] = [await createDatabase('template0'), await createDatabase('template0')];
    await migrate(ours.url, { schema: SCHEMA });
    labelerDid = await makeLabeler(network, labeler);
    const { plcUrl } = network;
    const common = { plcUrl, labelers: [labelerDid] };
    reference = await AppView.start({ ...common, databaseUrl: theirs.url, index: network.pdsUrl });
    town = await settle(network);
    for (const name of SERVICES) running.push(await startService(name, placeOf()));
    await drained();
    await live(town);
    await label();
    await drained();
    appView = await AppView.start({ ...common, databaseUrl: ours.url, schema: SCHEMA });
  }, 120_000);

  afterAll(async () => {
    await appView?.[Symbol.asyncDispose]();
    await reference?.[Symbol.asyncDispose]();
    for (const service of running) await service[Symbol.asyncDispose]();
    await network?.stop();
    await labeler?.[Symbol.asyncDispose]();
    await redis?.stop();
    for (const database of [ours, theirs]) await database?.drop();
  });

  function placeOf() {
    return {
      redisUrl: redis.url,
      databaseUrl: ours.url,
      plcUrl: network.plcUrl,
      env: {
        DATABASE_SCHEMA: SCHEMA,
        INGESTER_RELAY_HOSTS: network.pdsHost,
        INGESTER_LABELER_HOSTS: labelerDid,
        INGESTER_RELIST_MS: '500',
        HANDLE_RESOLVER_URL: network.pdsUrl,
        INDEXER_BACKFILL_NOTIFICATIONS: 'true',
      },
    };
  }

  /** Both have everything that the PDS has, ours the handles too. */
  async function drained(): Promise<void> {
    await reference.processAll(await network.waitForSequencer());
    const { data } = await town.ann.agent.com.atproto.sync.listRepos({ limit: 100 });
    const client = new pg.Client({ connectionString: ours.url });
    await client.connect();
    try {
      await untilDrained(redis.url, async () => {
        const { rows } = await client.query(
          `SELECT r.did, r.head, a."upstreamStatus" AS status FROM headwater.repo r JOIN ${SCHEMA}.actor a USING (did)
           WHERE r.state IN ('complete', 'unavailable') AND a.handle IS NOT NULL`,
        );
        const known = new Map(rows.map((row) => [row.did, row]));
        return data.repos.every(({ did, rev, active }) =>
          active === false ? known.get(did)?.status : (known.get(did)?.head ?? '') >= rev,
        );
      });
    } finally {
      await client.end();
    }
  }

  /** The reference has no way of its own for labels to come in. */
  async function label(): Promise<void> {
    const cts = '2026-01-01T00:00:00.000Z';
    const labels = [
      { uri: town.posts['root']!.uri, cid: town.posts['root']!.cid, val: 'wet', cts },
      { uri: town.eve.did, val: 'rude', cts },
    ].map((one) => ({ ...one, src: labelerDid }));
    labeler.emit(...labels);
    const client = new pg.Client({ connectionString: theirs.url });
    await client.connect();
    for (const { src, uri, cid = '', val } of labels as {
      src: string;
      uri: string;
      cid?: string;
      val: string;
    }[]) {
      await client.query(
        'INSERT INTO bsky.label (src, uri, cid, val, neg, cts) VALUES ($1, $2, $3, $4, false, $5)',
        [src, uri, cid, val, cts],
      );
    }
    await client.end();
  }

  /** Both give the same answer. Under load an AppView leaves out what takes it longer than 100 ms: it is asked again. */
  async function same(nsid: string, params: Params = {}, as?: Account): Promise<void> {
    for (let tries = 1; ; tries++) {
      const [expected, actual] = [await reference.ask(nsid, params, as), await appView.ask(nsid, params, as)];
      if (tries < 8 && !isDeepStrictEqual(normal(expected), normal(actual))) continue;
      // Who is blocked, or asks for who is not there, is told so; every other refusal would hide what is to be compared.
      const isHidden = JSON.stringify(params).includes(town.ivy.did);
      const refusal = (expected as { error?: string }).error;
      if (!isHidden) expect(['BlockedActor', 'BlockedByActor', undefined]).toContain(refusal);
      expect(normal(actual), `${nsid} ${JSON.stringify(params)}`).toEqual(normal(expected));
      const view = [nsid, params['filter']].filter(Boolean).join(' ');
      longest.set(view, Math.max(longest.get(view) ?? 0, longestIn(actual)));
      return;
    }
  }

  const all = () => [town.ann, town.bob, town.eve, town.joe, town.zoe, town.ivy];
  const present = () => all().filter((account) => account !== town.ivy);

  test('the tables are the same', async () => {
    expect(
      formatDiff(diffTables(await dumpTables(theirs.url), await dumpTables(ours.url, { schema: SCHEMA }))),
    ).toBe('');
  });

  test('profiles, with counts, labels and what the asking account has to do with them', async () => {
    for (const as of [undefined, town.ann, town.joe, town.zoe]) {
      const actors = all().map((account) => account.did);
      await same('app.bsky.actor.getProfiles', { actors }, as);
      for (const actor of actors) await same('app.bsky.actor.getProfile', { actor }, as);
    }
    await same('app.bsky.actor.getProfile', { actor: town.bob.handle });
  });

  test.each(FILTERS)('author feeds: %s', async (filter) => {
    for (const { did: actor } of all()) {
      for (const as of [undefined, town.ann, town.zoe])
        await same('app.bsky.feed.getAuthorFeed', { actor, filter }, as);
    }
  });

  test('threads, both versions, from every post', async () => {
    for (const { uri } of Object.values(town.posts)) {
      for (const as of [undefined, town.ann, town.joe]) {
        await same('app.bsky.feed.getPostThread', { uri, depth: 10 }, as);
        await same('app.bsky.unspecced.getPostThreadV2', { anchor: uri, below: 10 }, as);
      }
    }
  });

  test('posts, likes, reposts, quotes', async () => {
    const uris = Object.values(town.posts).map((post) => post.uri);
    await same('app.bsky.feed.getPosts', { uris }, town.bob);
    for (const uri of uris) {
      for (const view of ['getLikes', 'getRepostedBy', 'getQuotes'])
        await same(`app.bsky.feed.${view}`, { uri }, town.ann);
    }
  });

  test('timelines and notifications', async () => {
    for (const as of present()) {
      await same('app.bsky.feed.getTimeline', { limit: 100 }, as);
      await same('app.bsky.notification.listNotifications', { limit: 100 }, as);
      await same('app.bsky.notification.getUnreadCount', {}, as);
    }
  });

  test('followers, follows, relationships, blocks', async () => {
    for (const { did: actor } of all()) {
      await same('app.bsky.graph.getFollowers', { actor }, town.ann);
      await same('app.bsky.graph.getFollows', { actor }, town.ann);
      await same('app.bsky.graph.getRelationships', { actor, others: all().map((account) => account.did) });
    }
    for (const as of present()) await same('app.bsky.graph.getBlocks', {}, as);
    await same('app.bsky.graph.getListBlocks', {}, town.bob);
  });

  test('lists, list feeds, feeds of an actor, starter packs', async () => {
    await same('app.bsky.graph.getLists', { actor: town.ann.did }, town.bob);
    for (const { uri: list } of Object.values(town.lists)) {
      await same('app.bsky.graph.getList', { list }, town.bob);
      await same('app.bsky.feed.getListFeed', { list }, town.ann);
    }
    await same('app.bsky.feed.getActorFeeds', { actor: town.ann.did });
    await same('app.bsky.feed.getFeedGenerators', { feeds: [town.feed.uri] });
    await same('app.bsky.feed.getActorLikes', { actor: town.zoe.did }, town.zoe);
    await same('app.bsky.graph.getStarterPack', { starterPack: town.pack.uri });
    await same('app.bsky.graph.getStarterPacks', { uris: [town.pack.uri] });
    await same('app.bsky.graph.getActorStarterPacks', { actor: town.ann.did });
    await same('app.bsky.labeler.getServices', { dids: [town.ann.did], detailed: true });
  });

  test('searches for actors and posts', async () => {
    for (const q of ['otter', 'zoe', 'bob.test']) {
      await same('app.bsky.actor.searchActors', { q }, town.ann);
      await same('app.bsky.actor.searchActorsTypeahead', { q });
    }
    for (const q of ['river', 'late', 'from:ann.test'])
      await same('app.bsky.feed.searchPosts', { q }, town.ann);
  });

  test('the answers are not empty', async () => {
    const feed = await appView.ask('app.bsky.feed.getAuthorFeed', { actor: town.ann.did });
    expect(feed).toMatchObject({ feed: { length: 6 } });
    expect([...longest].filter(([, length]) => length === 0)).toEqual([]);
    const actor = town.eve.did;
    expect(await appView.ask('app.bsky.actor.getProfile', { actor })).toMatchObject({
      labels: [{ val: 'rude', src: labelerDid }],
    });
    const gone = await appView.ask('app.bsky.actor.getProfile', { actor: town.ivy.did });
    expect(gone).toMatchObject({ error: 'AccountDeactivated' });
    const [post] = (feed as { feed: { post: object }[] }).feed.slice(-1);
    expect(post).toMatchObject({
      post: {
        author: { handle: 'ann.test', displayName: 'Ann Otter' },
        likeCount: 5,
        labels: [{ val: 'wet' }],
      },
    });
  });
});

/** How long the longest list is in an answer; one that has none of its own counts as one. */
function longestIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const lists = Object.values(value).filter(Array.isArray);
  if (lists.length === 0) return 1;
  return Math.max(...lists.map((list) => list.length));
}

/** What the time of indexing decides is taken out of an answer: `indexedAt`, and cursors made of it. */
function normal(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(normal);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'indexedAt' && key !== 'cursor');
  return Object.fromEntries(entries.map(([key, inner]) => [key, normal(inner)]));
}

/** A DID in the PLC directory whose document names this labeler and its key. @returns it */
async function makeLabeler(network: Network, { url: endpoint, key }: FakeLabeler): Promise<string> {
  const { Secp256k1Keypair } = await import('@atproto/crypto');
  const signer = await Secp256k1Keypair.create();
  const client = network.plc.getClient();
  const did = await client.createDid({
    signingKey: signer.did(),
    rotationKeys: [signer.did()],
    handle: 'labeler.test',
    pds: endpoint,
    signer,
  });
  await client.updateData(did, signer, (data) => {
    data.services['atproto_labeler'] = { type: 'AtprotoLabeler', endpoint };
    data.verificationMethods['atproto_label'] = didKey(key);
    return data;
  });
  return did;
}
