import type { StreamEvent } from '@headwater/events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
import { Random } from '../testing/random.ts';
import { didOf, fetchParts, makeRepo, type Repo, tid } from '../testing/world.ts';
import {
  applyEvents,
  beginFetch,
  beginFetches,
  databasePool,
  knownRevs,
  markSent,
  type Pool,
  repoRows,
} from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 6, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const did = didOf(1);
const begin = (rev: number, fetch: string, force = false) =>
  beginFetch(pool, { did, rev: tid(rev), fetch, force });
const known = async () => (await knownRevs(pool, [did])).get(did);

describe('beginFetch', () => {
  it('raises the floor, never lowers it', async () => {
    expect(await known()).toBeUndefined();
    expect(await begin(5, 'a')).toBe('fresh');
    expect(await begin(4, 'b')).toBe('older');
    expect(await begin(6, 'c')).toBe('fresh');
    expect(await known()).toMatchObject({ floor: tid(6), state: 'fetching', head: null });
  });

  it('begins again after a crash half-way, and not after all parts were sent', async () => {
    expect(await begin(5, 'a')).toBe('fresh');
    expect(await begin(5, 'b')).toBe('fresh');
    expect(await markSent(pool, [{ did, fetch: 'a' }])).toEqual(new Set());
    expect(await markSent(pool, [{ did, fetch: 'b' }])).toEqual(new Set([did]));
    expect(await begin(5, 'c')).toBe('complete');
    expect(await begin(5, 'c', true)).toBe('fresh');
    expect(await begin(6, 'd')).toBe('fresh');
  });

  it('lets one of many at once be the fetch, the newest', async () => {
    const revs = new Random(1).shuffle(Array.from({ length: 20 }, (_, n) => n + 1));
    const answers = await Promise.all(revs.map((rev) => begin(rev, `f${rev}`)));
    expect(answers[revs.indexOf(20)]).toBe('fresh');
    expect(await known()).toMatchObject({ floor: tid(20) });
    const { rows } = await pool.query('SELECT fetch_id FROM headwater.repo');
    expect(rows).toEqual([{ fetch_id: 'f20' }]);
  });

  it('begins many at once, each by its own state, and leaves out those that are being written to', async () => {
    const [known, older, busy, unknown] = [didOf(2), didOf(3), didOf(4), didOf(5)] as const;
    const repo = makeRepo(new Random(3), known, 3);
    await applyEvents(pool, [repo.commits[0]!]);
    await beginFetches(
      pool,
      [older, busy].map((one) => ({ did: one, rev: tid(9), fetch: 'before' })),
    );
    const blocker = await pool.connect();
    await blocker.query(`BEGIN; SELECT FROM headwater.repo WHERE did = '${busy}' FOR UPDATE`);
    const starts = [known, older, busy, unknown].map((one) => ({ did: one, fetch: 'f' }));
    const revs = [tid(99_999_999), tid(8), tid(10), tid(1)];
    const begun = await beginFetches(
      pool,
      starts.map((start, i) => ({ ...start, rev: revs[i]! })),
      false,
    );
    await blocker.query('COMMIT');
    blocker.release();
    expect(begun).toEqual(
      new Map([
        [known, 'go'],
        [older, 'older'],
        [unknown, 'fresh'],
      ]),
    );
    expect(await markSent(pool, starts)).toEqual(new Set([known, unknown]));
    const { rows } = await pool.query('SELECT did, floor, state FROM headwater.repo ORDER BY did');
    expect(rows).toEqual(
      [
        { did: known, floor: revs[0], state: 'sent' },
        { did: older, floor: tid(9), state: 'fetching' },
        { did: busy, floor: tid(9), state: 'fetching' },
        { did: unknown, floor: tid(1), state: 'sent' },
      ].sort((a, b) => (a.did < b.did ? -1 : 1)),
    );
  });

  it('begins in one step where nothing is known, and as ever where that has changed', async () => {
    const [others, met] = [didOf(2), didOf(3)];
    await applyEvents(pool, [makeRepo(new Random(3), others, 3).commits[0]!]);
    await pool.query(`DELETE FROM headwater.repo WHERE did = $1`, [others]);
    await beginFetches(pool, [{ did: met, rev: tid(9), fetch: 'before' }]);
    const rev = tid(8);
    const begun = await beginFetches(
      pool,
      [did, others, met].map((one) => ({ did: one, rev, fetch: 'f', unknown: true })),
    );
    // Rows that another indexer has left are compared with.
    expect(Object.fromEntries(begun)).toEqual({ [did]: 'fresh', [others]: 'go', [met]: 'older' });
    const { rows } = await pool.query('SELECT did, floor, state, fetch_id, fresh FROM headwater.repo');
    const row = { floor: rev, state: 'fetching', fetch_id: 'f', fresh: true };
    expect(Object.fromEntries(rows.map(({ did: one, ...rest }) => [one, rest]))).toEqual({
      [did]: row,
      [others]: row,
      [met]: { ...row, floor: tid(9), fetch_id: 'before' },
    });
    // In one step as in several: the same row.
    await pool.query('TRUNCATE headwater.repo');
    await begin(8, 'f');
    const columns = `to_jsonb(r) - 'did' - 'first_seen' - 'updated_at' AS row`;
    const slow = await pool.query(`SELECT ${columns} FROM headwater.repo r`);
    await beginFetches(pool, [{ did: met, rev, fetch: 'f', unknown: true }]);
    const fast = await pool.query(`SELECT ${columns} FROM headwater.repo r WHERE did = $1`, [met]);
    expect(fast.rows).toEqual(slow.rows);
  });

  it('waits for the batch that is applying events of the repo, and that batch sees no floor', async () => {
    const repo = makeRepo(new Random(2), did, 3);
    const blocker = await pool.connect();
    await blocker.query('BEGIN; LOCK TABLE record');
    const applied = applyEvents(pool, [repo.commits[0]!]);
    const waits = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    while ((await pool.query(waits)).rowCount !== 1);
    const begun = begin(99_999_999, 'a');
    while ((await pool.query(waits)).rowCount !== 2);
    await blocker.query('COMMIT');
    blocker.release();
    expect((await applied).drops.size).toBe(0);
    expect(await begun).toBe('go');
    const late = await applyEvents(pool, [repo.commits[1]!]);
    expect([...late.drops.keys()]).toEqual(['below-floor']);
  });
});

describe('repoRows', () => {
  const rowsOf = async (wanted: string) => {
    const rows = [];
    for await (const page of repoRows(pool, wanted)) rows.push(...page);
    return rows;
  };

  it('gives the rows of one repo in the order of its tree, however many', async () => {
    const random = new Random(3);
    const others = [`${did}x`, did.slice(0, -1), `${did}:1`].map((other) => makeRepo(random, other, 5));
    const repo = makeRepo(random, did, 1);
    const records = repo.states[0]!.records;
    for (let n = 0; n < 4_500; n++) {
      const collection = random.pick([
        'app.bsky.feed.like',
        'app.bsky.feed',
        'app.bsky.feed.post-x',
        'com.A.b',
      ]);
      const rkey = random.pick(['A', 'a', '-', '~', '0', 'Z', '_']) + random.below(1e9).toString(36);
      records.set(`${collection}/${rkey}`, { cid: `cid${n}`, record: {} });
    }
    const put = `INSERT INTO record (uri, cid, did, json, "indexedAt", rev)
      SELECT 'at://' || $1 || '/' || path, cid, $1, '{}', '', 'r' FROM unnest($2::text[], $3::text[]) AS k(path, cid)`;
    const insert = ({ did: owner, states }: Repo) => {
      const held = [...states.at(-1)!.records];
      return pool.query(put, [owner, held.map(([path]) => path), held.map(([, { cid }]) => cid)]);
    };
    for (const one of [repo, ...others]) await insert(one);
    const bytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
    const wanted = [...records]
      .sort(([a], [b]) => bytes(a, b))
      .map(([path, { cid }]) => ({ path, cid, rev: 'r' }));
    expect(await rowsOf(did)).toEqual(wanted);
    expect(await rowsOf('did:plc:nobody')).toEqual([]);
  });
});

it('an abandoned fetch of the same rev does no harm, an older one nothing at all', async () => {
  const random = new Random(5);
  const repo = makeRepo(random, did, 40);
  const [older, state] = [repo.states[20]!, repo.states.at(-1)!];
  const start = (fetch: string, rev: string) => beginFetch(pool, { did, rev, fetch });
  await start('old', older.rev);
  const oldParts = fetchParts(random, repo, older, new Map(), 'old');
  await start('a', state.rev);
  const abandoned = fetchParts(random, repo, state, new Map(), 'a').slice(0, -1);
  await start('b', state.rev);
  const parts = fetchParts(random, repo, state, new Map(), 'b');
  await applyEvents(pool, [abandoned[0]!]);
  const entries: StreamEvent[][] = random.shuffle([...parts, ...abandoned, ...oldParts]);
  for (const entry of entries) await applyEvents(pool, [entry]);
  const rows = new Map<string, string>();
  for await (const page of repoRows(pool, did)) for (const { path, cid } of page) rows.set(path, cid);
  expect(rows).toEqual(new Map([...state.records].map(([path, { cid }]) => [path, cid])));
  expect(await known()).toMatchObject({ state: 'complete', head: state.rev });
});
