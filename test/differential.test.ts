import type { StreamEvent } from '@headwater/events';
import pg from 'pg';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Difference, diffTables, formatDiff } from './reference/diff.ts';
import { type Explain, explainBy } from './reference/explained.ts';
import {
  type AccountChange,
  accountChanges,
  accountEntries,
  backfillEntries,
  departed,
  generateNetwork,
  liveEntries,
  Random,
  type Snapshot,
  snapshots,
  type World,
} from './reference/network/index.ts';
import { OfficialIndexer } from './reference/official.ts';
import { inOrder, type Operation, orderOf, uriOf } from './reference/operation.ts';
import { applyEntries, beginFetches, openPool, settleAccounts } from './reference/ours.ts';
import { dumpTables, type Tables } from './reference/tables.ts';
import { createDatabase } from './support/index.ts';

/**
 * The tables that we make of a random network, entries arriving in any order,
 * against those that the official indexer makes of it in order of createdAt.
 */
const SEED = Number(process.env['TEST_SEED'] ?? 1);
/** After all createdAt, so that none of them lies in the future of the fetch. */
const FETCHED_AT = '2036-01-01T00:00:00.000Z';
const NOW = Date.parse('2037-01-01T00:00:00.000Z');

interface Scenario {
  snapshots: Snapshot[];
  commits: World['commits'];
  accounts: AccountChange[];
}

const scenarios: Record<string, (world: World) => Omit<Scenario, 'accounts'>> = {
  'live only': (world) => ({ snapshots: [], commits: world.commits }),
  'backfill only': (world) => ({ snapshots: snapshots(world, '9', FETCHED_AT), commits: [] }),
  'half and half': (world) => {
    const half = world.commits[Math.floor(world.commits.length / 2)]!.time;
    return { snapshots: snapshots(world, half, half), commits: world.commits.filter((c) => c.time > half) };
  },
};

type Entries = StreamEvent[][];
const orders: Record<string, (entries: Entries, random: Random) => Entries> = {
  'as it happened': (entries) => entries,
  'last first': (entries) => entries.toReversed(),
  shuffled: (entries, random) => random.shuffled(entries),
  'shuffled, a third delivered twice': (entries, random) =>
    random.shuffled([...entries, ...entries.filter(() => random.chance(1 / 3))]),
  'repo by repo, in another order': (entries, random) => {
    const repos = [...Map.groupBy(entries, (entry) => entry[0]!.did).values()];
    return random.shuffled(repos).flat();
  },
};

describe.each(Object.keys(scenarios))('%s: the tables of the official indexer', (name) => {
  const world = generateNetwork({ seed: SEED, accounts: 30, operations: 3_000 });
  const scenario = { ...scenarios[name]!(world), accounts: accountChanges(world, SEED) };
  const history = [
    ...scenario.snapshots.flatMap((s) => s.records as Operation[]),
    ...scenario.commits.flatMap((c) => c.operations),
  ];
  const gone = departed(scenario.accounts);
  const explain = explainBy([...history, ...departures(gone, history)], gone);
  let expected: Tables;

  beforeAll(async () => {
    await using database = await createDatabase('template0');
    await using official = await OfficialIndexer.create(database.url);
    for (const one of [...scenario.snapshots, ...scenario.commits]) await official.know(one);
    await official.apply(inOrder(history));
    for (const change of scenario.accounts) await official.say(change);
    for (const did of gone) await official.depart(did, new Date(NOW).toISOString());
    expected = await dumpTables(database.url, { indexedAt: true });
  }, 240_000);

  test.each(Object.keys(orders))(
    '%s',
    async (order) => {
      const { tables, direct } = await index(scenario, order);
      expectSame(expected, tables, explain);
      // Only repos of which nothing live came first are copied.
      if (scenario.commits.length === 0) expect(direct).toBeGreaterThan(0);
    },
    120_000,
  );

  test('shuffled, by four writers at once', async () => {
    const { tables } = await index(scenario, 'shuffled', { writers: 4 });
    expectSame(expected, tables, explain);
  }, 120_000);

  // The official indexer refuses a record all of whose notifications are muted, so it can't show the way here.
  test('of muted threads nothing is told, and all else is the same', async () => {
    const muted = someMutes(world);
    const { tables } = await index(scenario, 'shuffled', { muted });
    const wanted = without(muted, expected, history);
    expect(wanted.get('notification')!.size).toBeLessThan(expected.get('notification')!.size);
    expectSame(wanted, tables, explain);
  }, 120_000);

  // A live event is never written without reading.
  if (scenario.snapshots.length > 0) {
    test('the writer that reads first leaves the same as the one that does not', async () => {
      const { tables, direct } = await index(scenario, 'shuffled', { fresh: false });
      expectSame(expected, tables, explain);
      expect(direct).toBe(0);
    }, 120_000);
  }
});

interface IndexOptions {
  /** Let the writer copy repos that it has never seen without reading; true unless told. */
  fresh?: boolean;
  muted?: Mute[];
  writers?: number;
}

async function index({ snapshots, commits, accounts }: Scenario, order: string, options: IndexOptions = {}) {
  const { fresh = true, muted, writers = 1 } = options;
  await using database = await createDatabase();
  if (muted) await muteThreads(database.url, muted);
  const random = new Random(SEED + order.length);
  const pool = openPool(database.url);
  const fetches = await beginFetches(pool, snapshots);
  const parts = snapshots.flatMap((s) => backfillEntries(s, fetches.get(s.did)!, fresh));
  const told = [...parts, ...liveEntries(commits), ...accountEntries(accounts)];
  const entries = orders[order]!(told, random);
  const { direct } = await applyEntries(pool, entries, random, { now: NOW, writers });
  const dids = [...snapshots, ...commits].map(({ did }) => did);
  await settleAccounts(pool, [...new Set(dids)], NOW);
  await pool.end();
  return { tables: await dumpTables(database.url, { indexedAt: true }), direct };
}

function expectSame(expected: Tables, actual: Tables, explain: Explain): void {
  const differences = Map.groupBy(diffTables(expected, actual), (d: Difference) => explain(d) ?? 'not meant');
  expect(formatDiff(differences.get('not meant') ?? []), `seed ${SEED}`).toBe('');
  differences.delete('not meant');
  for (const [kind, list] of differences) expect(list.length, kind).toBeLessThan(40);
}

interface Mute {
  did: string;
  root: string;
}

async function muteThreads(url: string, mutes: readonly Mute[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(
    `INSERT INTO bsky.thread_mute ("rootUri", "mutedByDid", "createdAt")
     SELECT *, '2026-01-01T00:00:00.000Z' FROM unnest($1::text[], $2::text[])`,
    [mutes.map((mute) => mute.root), mutes.map((mute) => mute.did)],
  );
  await client.end();
}

/** Authors who don't want to hear of every other thread of theirs. */
function someMutes(world: World): Mute[] {
  const roots = world.all('app.bsky.feed.post').filter((post) => !post.record['reply']);
  return roots.filter((_, i) => i % 2 === 0).map(({ did, uri }) => ({ did, root: uri }));
}

/** The deletions of all that accounts wrote who are gone. */
function departures(dids: readonly string[], history: readonly Operation[]): Operation[] {
  const time = new Date(NOW).toISOString();
  const theirs = new Map(history.filter(({ did }) => dids.includes(did)).map((op) => [uriOf(op), op]));
  return [...theirs.values()].map(({ did, collection, rkey }) => ({
    action: 'delete',
    did,
    collection,
    rkey,
    time,
  }));
}

/** The tables without what these mutes forbid: news of posts that were there when it was made. */
function without(mutes: readonly Mute[], tables: Tables, history: readonly Operation[]): Tables {
  const muted = new Set(mutes.map(({ did, root }) => `${did} ${root}`));
  const posts = Map.groupBy(history, uriOf);
  const told = [...tables.get('notification')!].filter(([, row]) => {
    const subject = row['reasonSubject'] as string | null;
    const versions = (subject && posts.get(subject)) || [];
    const [first, last] = [versions[0], versions.at(-1)];
    if (first?.collection !== 'app.bsky.feed.post' || orderOf(first) > (row['sortAt'] as string)) return true;
    if (last!.action === 'delete' && last!.time <= (row['sortAt'] as string)) return true;
    return !muted.has(`${row['did']} ${(first.record?.['reply'] as Reply)?.root.uri ?? subject}`);
  });
  return new Map([...tables, ['notification', new Map(told)]]);
}

type Reply = { root: { uri: string } } | undefined;
