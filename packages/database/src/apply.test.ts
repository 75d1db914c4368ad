import type { StreamEvent } from '@headwater/events';
import { TransientError } from '@headwater/ops';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
import { cidOf, didOf, posts, tid } from '../testing/world.ts';
import {
  applyEvents,
  beginFetch,
  databasePool,
  type Gap,
  markRepoState,
  type Pool,
  withGaps,
} from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 6, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const did = didOf(1);
const time = '2026-01-01T00:00:00.000Z';
const createdAt = '2025-06-01T00:00:00.000Z';

interface Wish {
  collection?: string;
  rkey?: string;
  rev?: number;
  record?: Record<string, unknown>;
  did?: string;
}

function create({
  collection = 'app.bsky.feed.post',
  rkey = 'a',
  rev = 1,
  record,
  ...rest
}: Wish): StreamEvent {
  const full = { $type: collection, createdAt, ...record };
  const cid = cidOf(JSON.stringify(full));
  const envelope = { seq: 1, time, did, commit: cidOf(`${rev}`), rev: tid(rev), ...rest };
  return { type: 'create', ...envelope, collection, rkey, cid, record: full };
}

const post = (text: string, rest: Wish = {}) => create({ ...rest, record: { text, ...rest.record } });
const table = async (sql: string, values: unknown[] = []) => (await pool.query(sql, values)).rows;

describe('records that can not be indexed', () => {
  it('are left out one by one, counted and sampled; their siblings are written', async () => {
    const result = await applyEvents(pool, [
      [
        post('good', { rkey: 'good' }),
        create({ rkey: 'no-text' }),
        create({ rkey: 'bad-date', record: { text: '', createdAt: 'yesterday' } }),
        post('too long'.repeat(1000), { rkey: 'long' }),
        create({
          collection: 'app.bsky.feed.threadgate',
          rkey: 'gate',
          record: { post: posts[0]!.uri },
        }),
      ],
    ]);
    expect(result.refused.map(({ uri, reason }) => [uri.split('/').at(-1), reason])).toEqual([
      ['no-text', 'missing'],
      ['bad-date', 'format'],
      ['long', 'length'],
      ['gate', 'not-its-post'],
    ]);
    expect(await table('SELECT text FROM post')).toEqual([{ text: 'good' }]);
    expect(await table('SELECT count(*)::int FROM record')).toEqual([{ count: 1 }]);
    expect(await table('SELECT reason, json FROM headwater.refused_record ORDER BY reason')).toHaveLength(4);
  });

  it('take the row before them away: the repo no longer has it', async () => {
    await applyEvents(pool, [[post('first', { rev: 1 })]]);
    await applyEvents(pool, [[create({ rev: 2 })]]);
    expect(await table('SELECT * FROM record')).toEqual([]);
    await applyEvents(pool, [[post('first', { rev: 1 })]]);
    expect(await table('SELECT * FROM record')).toEqual([]);
    expect(await table('SELECT "postsCount"::int AS n FROM profile_agg')).toEqual([{ n: 0 }]);
  });

  it('have keys that PostgreSQL could not put into an index', async () => {
    const rkey = 'k'.repeat(512);
    const uri = `at://did:web:${'x'.repeat(2000)}/app.bsky.feed.post/${rkey}`;
    const subject = { uri, cid: posts[0]!.cid };
    const events = [
      create({ collection: 'app.bsky.feed.like', record: { subject } }),
      post('sibling', { rkey: 'b' }),
    ];
    const { refused } = await applyEvents(pool, [events]);
    expect(refused).toHaveLength(1);
    expect(await table('SELECT text FROM post')).toEqual([{ text: 'sibling' }]);
  });

  it('are found by PostgreSQL alone: the entry is applied without them', async () => {
    await pool.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.text = 'poison' THEN RAISE 'poisoned'; END IF; RETURN NEW; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON post FOR EACH ROW EXECUTE FUNCTION refuse()`);
    try {
      const poisoned = [post('a', { rkey: 'a' }), post('poison', { rkey: 'b' }), post('c', { rkey: 'c' })];
      const entries = [[post('other', { did: didOf(2) })], poisoned];
      await expect(applyEvents(pool, entries)).rejects.toThrow('poisoned');
      expect(await table('SELECT * FROM record')).toEqual([]);
      const result = await applyEvents(pool, [poisoned]);
      expect(result).toMatchObject({ written: 2, refused: [{ reason: 'postgres-P0001' }] });
      expect(await table('SELECT text FROM post ORDER BY 1')).toEqual([{ text: 'a' }, { text: 'c' }]);
      expect(await table('SELECT "postsCount"::int AS n FROM profile_agg')).toEqual([{ n: 2 }]);
      expect(await table('SELECT live_rev FROM headwater.repo')).toEqual([{ live_rev: tid(1) }]);
    } finally {
      await pool.query('DROP TRIGGER refuse ON post; DROP FUNCTION refuse');
    }
  });

  it('are events out of place: a path, a rev, a DID, a collection that nobody asked for', async () => {
    const events = [
      post('x', { rkey: 'a/b' }),
      post('x', { rkey: '..' }),
      post('x', { rkey: 'nul\0' }),
      { ...post('x'), rev: 'zzz' } as StreamEvent,
      create({ collection: 'com.example.other', rkey: 'other' }),
    ];
    const result = await applyEvents(pool, [events, [post('x', { did: "did:plc:'" })]], {
      keep: (nsid) => nsid.startsWith('app.bsky.'),
    });
    expect(Object.fromEntries(result.drops)).toEqual({ 'bad-path': 3, 'bad-rev': 1, collection: 1 });
    expect(await table('SELECT * FROM record')).toEqual([]);
  });
});

describe('what is written', () => {
  it('keeps the record as it came and cleans what typed columns can not hold', async () => {
    const text = 'nul \0, a lone \ud800, a tab \t, \\N';
    await applyEvents(pool, [[post(text, { record: { langs: ['en'], unknown: { deep: [text] } } })]]);
    const [row] = await table('SELECT json, p.text FROM record JOIN post p USING (uri)');
    expect(JSON.parse(row.json)).toMatchObject({ text, unknown: { deep: [text] } });
    expect(row.text).toBe('nul , a lone \ufffd, a tab \t, \\N');
  });

  it('normalises dates and keeps them from running ahead', async () => {
    const now = Date.parse('2026-02-01T00:00:00Z');
    const future = '2999-01-01T00:00:00Z';
    const zone = '2025-06-01T02:00:00.123456+02:00';
    const events = [
      post('future', { rkey: 'a', record: { createdAt: future } }),
      post('zone', { rkey: 'b', record: { createdAt: zone } }),
    ];
    for (const event of events) event.time = future;
    await applyEvents(pool, [events], { now });
    expect(await table('SELECT text, "createdAt", "indexedAt", "sortAt" FROM post ORDER BY 1')).toEqual([
      {
        text: 'future',
        createdAt: '2999-01-01T00:00:00.000Z',
        indexedAt: '2026-02-01T00:05:00.000Z',
        sortAt: '2026-02-01T00:05:00.000Z',
      },
      {
        text: 'zone',
        createdAt: '2025-06-01T00:00:00.123Z',
        indexedAt: '2026-02-01T00:05:00.000Z',
        sortAt: '2025-06-01T00:00:00.123Z',
      },
    ]);
  });

  it('of a lexicon that is not ours lands in record as it is', async () => {
    await applyEvents(pool, [[create({ collection: 'com.example.thing', record: { any: [1, null] } })]]);
    const [row] = await table('SELECT json FROM record');
    expect(JSON.parse(row.json)).toMatchObject({ any: [1, null] });
  });

  it('has an actor, and actor_sync names the newest commit', async () => {
    await applyEvents(pool, [[post('b', { rev: 2, rkey: 'b' })], [post('a', { rev: 1 })]]);
    expect(await table('SELECT did, handle FROM actor')).toEqual([{ did, handle: null }]);
    expect(await table('SELECT * FROM actor_sync')).toEqual([
      { did, commitCid: cidOf('2'), repoRev: tid(2) },
    ]);
  });
});

describe('accounts', () => {
  const account = (minute: number, active: boolean, status?: string): StreamEvent => ({
    type: 'account',
    seq: minute,
    time: new Date(Date.parse(time) + minute * 60_000).toISOString(),
    did,
    active,
    ...(status && { status }),
  });
  const status = async () => (await table('SELECT "upstreamStatus" AS s FROM actor'))[0]?.s;

  it('are ordered by time, not by arrival, and keep a status that came before anything else', async () => {
    await applyEvents(pool, [[account(2, false, 'takendown')]]);
    await applyEvents(pool, [[post('x')]]);
    expect(await status()).toBe('takendown');
    await applyEvents(pool, [[account(1, true)]]);
    expect(await status()).toBe('takendown');
    await applyEvents(pool, [[account(3, true)]]);
    expect(await status()).toBeNull();
    await applyEvents(pool, [[account(2, false, 'deleted')]]);
    expect(await status()).toBeNull();
    expect(await table('SELECT count(*)::int AS n FROM record')).toEqual([{ n: 1 }]);
  });

  it('are hidden by a status that nobody knows', async () => {
    await applyEvents(pool, [[account(1, false, 'asleep')]]);
    expect(await status()).toBe('asleep');
    await applyEvents(pool, [[account(2, true, 'throttled')]]);
    expect(await status()).toBeNull();
    await applyEvents(pool, [[account(3, false)]]);
    expect(await status()).toBe('unknown');
  });

  it('get a row and a status when their repo can not be had', async () => {
    const learnt = { active: false, status: 'deactivated', time: Date.parse(time) };
    await markRepoState(pool, { did, state: 'unavailable', reason: 'RepoDeactivated', account: learnt });
    expect(await status()).toBe('deactivated');
    expect(await table('SELECT state, reason FROM headwater.repo')).toEqual([
      { state: 'unavailable', reason: 'RepoDeactivated' },
    ]);
    expect(await beginFetch(pool, { did, rev: tid(3), fetch: 'f' })).toBe('fresh');
  });

  it('have their handle looked at after an identity event', async () => {
    await applyEvents(pool, [[post('x')]]);
    await pool.query(`UPDATE headwater.handle_due SET due = now() + interval '1 day', tries = 3`);
    await applyEvents(pool, [[{ type: 'identity', seq: 1, time, did }]]);
    expect(await table('SELECT refresh, tries, due <= now() AS due FROM headwater.handle_due')).toEqual([
      { refresh: true, tries: 0, due: true },
    ]);
  });
});

describe('gaps', () => {
  const live = (rev: number, since: number | null) => {
    const event = post(`${rev}`, { rev, rkey: `r${rev}` });
    return [{ ...event, since: since === null ? null : tid(since), data: `data ${rev}` } as StreamEvent];
  };
  const gaps = async (graceMs: number): Promise<Gap[]> => {
    const found: Gap[] = [];
    await withGaps(pool, { graceMs, againMs: 60_000, limit: 10 }, async (list) => void found.push(...list));
    return found;
  };

  it('ask for a fetch after a while, once, and are forgotten when the missing commit comes', async () => {
    await applyEvents(pool, [live(1, null), live(3, 2)]);
    expect(await gaps(60_000)).toEqual([]);
    expect(await gaps(0)).toEqual([{ did, reason: 'gap', head: tid(1), above: tid(3) }]);
    expect(await gaps(0)).toEqual([]);
    await applyEvents(pool, [live(2, 1)]);
    expect(await table('SELECT gap_at, asked_at, head FROM headwater.repo')).toEqual([
      { gap_at: null, asked_at: null, head: tid(3) },
    ]);
  });

  it('are handed out again when they could not be delivered', async () => {
    await applyEvents(pool, [live(1, null), live(3, 2)]);
    const failed = withGaps(pool, { graceMs: 0, againMs: 60_000, limit: 10 }, async () => {
      throw new Error('Redis is away');
    });
    await expect(failed).rejects.toThrow('Redis is away');
    expect(await gaps(0)).toHaveLength(1);
  });

  it('are none in a repo that was never fetched', async () => {
    await applyEvents(pool, [live(5, 4), live(9, 8)]);
    expect(await gaps(0)).toEqual([]);
  });
});

it('says that PostgreSQL is at fault when it is, and changes nothing', async () => {
  const lock = await pool.connect();
  await lock.query('BEGIN; LOCK TABLE record');
  const applied = applyEvents(pool, [[post('x')]]);
  applied.catch(() => {});
  const waiting = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  while ((await pool.query(waiting)).rowCount === 0);
  await expect(applied).rejects.toThrow(TransientError);
  await lock.query('ROLLBACK');
  lock.release();
  expect(await table('SELECT * FROM record')).toEqual([]);
  const nowhere = databasePool({ url: 'postgres://x@127.0.0.1:1/x', max: 1, applicationName: 'test' });
  await expect(applyEvents(nowhere, [[post('x')]])).rejects.toThrow(TransientError);
  await nowhere.end();
});

it('writes the newer of two versions that one part of a fresh fetch names, which none should', async () => {
  await beginFetch(pool, { did, rev: tid(3), fetch: 'f' });
  const both = [post('one', { rev: 3 }), post('two', { rev: 3 }), post('other', { rev: 3, rkey: 'b' })];
  const part = both.map((event) => ({ ...event, seq: -1 })) as StreamEvent[];
  Object.assign(part[0]!, { fetch: 'f', part: 0, fresh: true });
  expect(await applyEvents(pool, [part])).toMatchObject({ written: 2, unchanged: 1 });
  expect(await table('SELECT text FROM post ORDER BY text')).toEqual([{ text: 'other' }, { text: 'two' }]);
});
