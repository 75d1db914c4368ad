import { isDeepStrictEqual } from 'node:util';
import pg from 'pg';
import type { Network, TrueActor, TrueRecord } from '../simulator/index.ts';
import { compareTables } from './compare-tables.ts';

/** What a table holds that is not true, or lacks: one line each. */
export type Differences = string[];

interface RecordRow {
  uri: string;
  cid: string;
  did: string;
  json: string;
}

/**
 * Holds every table that the network says something about against its truth.
 *
 * @returns what differs; empty when the tables are right
 */
export async function compareWithTruth(databaseUrl: string, network: Network): Promise<Differences> {
  const client = new pg.Client({ connectionString: databaseUrl, options: '-c search_path=bsky,public' });
  await client.connect();
  try {
    const truth = network.truth();
    const actors = [...truth.actors()];
    return [
      ...(await compareRepos(client, actors)),
      ...(await compareActors(client, actors)),
      ...(await compareRecords(client, network, actors)),
      ...(await compareTables(client)),
      ...(await compareLabels(client, truth.labels())),
      ...(await compareCounts(client, truth.counts())),
    ];
  } finally {
    await client.end();
  }
}

async function compareRecords(client: pg.Client, network: Network, actors: TrueActor[]) {
  const differences: Differences = [];
  const truth = network.truth();
  const tolerated = truth.tolerated();
  const rowsOf = new Map(actors.map(({ did, rows }) => [did, rows]));
  const { rows } = await client.query<RecordRow>('SELECT uri, cid, did, json FROM record');
  const there = new Map(rows.map((row) => [row.uri, row]));
  const right = new Set<string>();
  for (const kind of ['all', 'some'] as const) {
    for (const wanted of truth.records(kind)) {
      const row = there.get(wanted.uri);
      if (row) right.add(wanted.uri);
      const wrong = row ? differenceOf(wanted, row) : kind === 'all' ? 'is missing' : undefined;
      if (wrong !== undefined) differences.push(`record ${wanted.uri} ${wrong} (rev ${wanted.rev})`);
    }
  }
  for (const { uri, did } of rows) {
    if (right.has(uri) || tolerated.has(uri) || rowsOf.get(did) === 'some') continue;
    differences.push(`record ${uri} should not be there`);
  }
  return differences;
}

function differenceOf({ cid, json }: TrueRecord, row: RecordRow): string | undefined {
  if (row.cid !== cid) return `is ${row.cid}, should be ${cid}`;
  if (!isDeepStrictEqual(JSON.parse(row.json), JSON.parse(JSON.stringify(json)))) {
    return `says ${row.json.slice(0, 200)}, should say ${JSON.stringify(json).slice(0, 200)}`;
  }
  return undefined;
}

interface ActorRow {
  did: string;
  handle: string | null;
  status: string | null;
  due: boolean;
  at: Date | null;
}

async function compareActors(client: pg.Client, actors: TrueActor[]) {
  const { rows } = await client.query<ActorRow>(
    `SELECT did, handle, "upstreamStatus" AS status, d.did IS NOT NULL AS due, r.account_time AS at
     FROM actor LEFT JOIN headwater.handle_due d USING (did) LEFT JOIN headwater.repo r USING (did)`,
  );
  const there = new Map(rows.map((row) => [row.did, row]));
  const differences: Differences = [];
  for (const { did, handle, active, status, rows: kept } of actors) {
    const row = there.get(did);
    if (!row) {
      if (kept === 'all') differences.push(`actor ${did} is missing`);
      continue;
    }
    const wanted = active ? null : status;
    if (row.status !== wanted) {
      const { status: said, at } = row;
      differences.push(`actor ${did} is ${said} as of ${at?.toISOString()}, should be ${wanted}`);
    }
    // A handle that is still to be verified may be another one for a while.
    if (active && !row.due && row.handle !== handle) {
      differences.push(`actor ${did} has handle ${row.handle}, should have ${handle}`);
    }
  }
  return differences;
}

interface RepoStateRow {
  did: string;
  state: string;
  gap: boolean;
  head: string | null;
  links: unknown;
  reason: string | null;
}

async function compareRepos(client: pg.Client, actors: TrueActor[]) {
  const { rows } = await client.query<RepoStateRow>(
    'SELECT did, state, reason, gap_at IS NOT NULL AS gap, head, links FROM headwater.repo',
  );
  const there = new Map(rows.map((row) => [row.did, row]));
  const differences: Differences = [];
  for (const { did, rev, rows: kept } of actors) {
    if (kept !== 'all') continue;
    const row = there.get(did);
    const { state, reason, gap, head, links } = row ?? {};
    if (state === 'complete' && !gap && head === rev) continue;
    const said = JSON.stringify({ state, reason, gap, head, links });
    differences.push(`repo ${did} is at ${said}, should be complete at ${rev}`);
  }
  return differences;
}

interface LabelRow {
  src: string;
  uri: string;
  val: string;
  cid: string;
  neg: boolean;
  cts: string;
}

async function compareLabels(client: pg.Client, labels: Omit<Partial<LabelRow>, 'never'>[]) {
  const { rows } = await client.query<LabelRow>('SELECT src, uri, val, cid, neg, cts FROM label');
  const keyOf = ({ src, uri, val }: Partial<LabelRow>) => `${src} ${uri} ${val}`;
  const there = Map.groupBy(rows, keyOf);
  const differences: Differences = [];
  for (const label of labels) {
    const held = there.get(keyOf(label)) ?? [];
    there.delete(keyOf(label));
    const [row] = held;
    const isRight =
      held.length === 1 &&
      row!.neg === (label.neg ?? false) &&
      Date.parse(row!.cts) === Date.parse(label.cts!) &&
      row!.cid === (label.cid ?? '');
    if (!isRight) differences.push(`label ${JSON.stringify(label)} is held as ${JSON.stringify(held)}`);
  }
  for (const [key, [row]] of there) {
    // Whether labels with an odd date of expiry are taken is left open.
    if (!OPEN_VALUES.has(row!.val)) differences.push(`label ${key} should not be there`);
  }
  return differences;
}

const OPEN_VALUES = new Set(['odd-exp', 'no-exp']);

type Counts = ReturnType<ReturnType<Network['truth']>['counts']>;

async function compareCounts(client: pg.Client, counts: Counts) {
  const posts = await client.query(
    'SELECT uri AS key, "likeCount" AS likes, "repostCount" AS reposts, "replyCount" AS replies FROM post_agg',
  );
  const profiles = await client.query(
    'SELECT did AS key, "followersCount" AS followers, "followsCount" AS follows, "postsCount" AS posts FROM profile_agg',
  );
  const differences: Differences = [];
  for (const [table, rows, names] of [
    ['post_agg', posts.rows, ['likes', 'reposts', 'replies']],
    ['profile_agg', profiles.rows, ['followers', 'follows', 'posts']],
  ] as const) {
    const there = new Map<string, Record<string, string>>(rows.map((row) => [row.key, row]));
    for (const name of names) {
      for (const key of new Set([...counts[name].keys(), ...there.keys()])) {
        const wanted = counts[name].get(key) ?? 0;
        const found = Number(there.get(key)?.[name] ?? 0);
        if (found === wanted || counts.undecided.has(key)) continue;
        const why = name === 'replies' ? await repliesTo(client, key) : '';
        differences.push(`${table} ${key} has ${found} ${name}, should have ${wanted}${why}`);
      }
    }
  }
  return differences;
}

/** How the replies to a post were judged: those that are not valid don't count. */
async function repliesTo(client: pg.Client, parent: string): Promise<string> {
  const { rows } = await client.query(
    `SELECT uri, "replyRoot", "invalidReplyRoot", "violatesThreadGate", r.rev
     FROM post JOIN record r USING (uri) WHERE "replyParent" = $1`,
    [parent],
  );
  return `; replies: ${JSON.stringify(rows)}`;
}
