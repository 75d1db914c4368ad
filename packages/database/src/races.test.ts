import type { StreamEvent } from '@headwater/events';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { until } from '../../../test/support/wait.ts';
import { truncateAll } from '../testing/dump.ts';
import { cidOf, didOf } from '../testing/world.ts';
import { revAt } from './derived/moment.ts';
import { applyEvents, confirmDeparture, databasePool, type Pool, purgeRepo } from './index.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 10, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const [ann, bob, cat, dan] = [1, 2, 3, 4].map(didOf) as [string, string, string, string];
const postNsid = 'app.bsky.feed.post';
const begin = Date.UTC(2026, 0, 1);
/** The moment `second` seconds after the beginning. */
const at = (second: number) => new Date(begin + second * 1000).toISOString();
const uriOf = (did: string, rkey: string, collection = postNsid) => `at://${did}/${collection}/${rkey}`;
const refOf = (uri: string) => ({ uri, cid: cidOf(uri) });

/** A record made and indexed at a moment. */
function made(
  did: string,
  second: number,
  rkey: string,
  record: Record<string, unknown>,
  collection = postNsid,
): StreamEvent[] {
  const full = { $type: collection, createdAt: at(second), ...record };
  const cid = cidOf(uriOf(did, rkey, collection));
  const rev = revAt(begin + second * 1000);
  const commit = cidOf(rev);
  return [
    { type: 'create', seq: 1, time: at(second), did, commit, rev, collection, rkey, cid, record: full },
  ];
}

function deleted(did: string, second: number, rkey: string, collection = postNsid): StreamEvent[] {
  const rev = revAt(begin + second * 1000);
  return [{ type: 'delete', seq: 1, time: at(second), did, commit: cidOf(rev), rev, collection, rkey }];
}

function reply(did: string, second: number, rkey: string, parent: string, root = parent): StreamEvent[] {
  return made(did, second, rkey, { text: rkey, reply: { root: refOf(root), parent: refOf(parent) } });
}

function gate(did: string, second: number, rkey: string, allow: unknown[]): StreamEvent[] {
  return made(did, second, rkey, { post: uriOf(did, rkey), allow }, 'app.bsky.feed.threadgate');
}

/** Holds transactions back before a statement. */
function staged(...points: [name: string, nth: number][]) {
  const stops = points.map(([name, nth]) => {
    const reached = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    return {
      name,
      nth,
      seen: 0,
      reached: reached.promise,
      arrive: reached.resolve,
      release: go.resolve,
      go: go.promise,
    };
  });
  async function before(query: unknown): Promise<void> {
    const name = typeof query === 'string' ? query : (query as { name?: string }).name;
    for (const stop of stops) {
      if (stop.name !== name || ++stop.seen !== stop.nth) continue;
      stop.arrive();
      await stop.go;
    }
  }
  const connect = async () => {
    const client = await pool.connect();
    return new Proxy(client, {
      get(target, key) {
        const value = Reflect.get(target, key);
        if (typeof value !== 'function') return value;
        if (key !== 'query') return value.bind(target);
        return (query: { submit?: unknown }, ...rest: unknown[]) =>
          query.submit
            ? value.call(target, query, ...rest)
            : before(query).then(() => value.call(target, query, ...rest));
      },
    });
  };
  const pausing = new Proxy(pool, {
    get(target, key) {
      if (key === 'connect') return connect;
      const value = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return { pool: pausing, stops };
}

/** Resolves when the work is done, or waits for a lock of another. */
async function doneOrBlocked(work: Promise<unknown>): Promise<void> {
  let done = false;
  work.finally(() => (done = true)).catch(() => undefined);
  const blocked =
    'SELECT FROM pg_stat_activity WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0';
  await until('the end or a lock', async () => done || (await pool.query(blocked)).rowCount! > 0);
}

const flagsOf = async (uri: string) =>
  (
    await pool.query(
      'SELECT "invalidReplyRoot" AS invalid, "violatesThreadGate" AS violates FROM post WHERE uri = $1',
      [uri],
    )
  ).rows[0];
const notified = async (uri: string) =>
  (await pool.query('SELECT did, reason FROM notification WHERE "recordUri" = $1', [uri])).rows;

describe('two that look at the same thread at once', () => {
  it('a look that began before a gate does not undo what the gate says', async () => {
    const [root, parent, child] = [uriOf(ann, 'root'), uriOf(bob, 'parent'), uriOf(cat, 'child')];
    await applyEvents(pool, [made(ann, 1, 'root', { text: '' })]);
    const { pool: slow, stops } = staged(['COMMIT', 1], ['post flags put', 2]);
    const late = applyEvents(slow, [reply(cat, 10, 'child', parent, root)]);
    await stops[0]!.reached;
    await applyEvents(pool, [reply(bob, 5, 'parent', root)]);
    stops[0]!.release();
    await stops[1]!.reached;
    await applyEvents(pool, [gate(ann, 2, 'root', [])]);
    stops[1]!.release();
    await late;
    expect(await flagsOf(child)).toEqual({ invalid: null, violates: true });
  });

  it('neither tells what the other has told', async () => {
    const [parent, child] = [uriOf(bob, 'parent'), uriOf(cat, 'child')];
    const [a, b] = [staged(['COMMIT', 1], ['COMMIT', 2]), staged(['COMMIT', 1], ['COMMIT', 2])];
    // Of another thread than its parent, so that no flag changes.
    const first = applyEvents(a.pool, [reply(cat, 10, 'child', parent, uriOf(dan, 'else'))]);
    const second = applyEvents(b.pool, [made(bob, 5, 'parent', { text: '' })]);
    for (const n of [0, 1]) {
      await Promise.all([a.stops[n]!.reached, b.stops[n]!.reached]);
      for (const { stops } of [a, b]) stops[n]!.release();
    }
    await Promise.all([first, second]);
    expect(await notified(child)).toEqual([{ did: bob, reason: 'reply' }]);
  });

  it('a look that began before the parent came does not take back what is told of it', async () => {
    const [parent, child] = [uriOf(bob, 'parent'), uriOf(cat, 'child')];
    const { pool: slow, stops } = staged(['notifications of', 2]);
    const early = applyEvents(slow, [reply(cat, 10, 'child', parent)]);
    await stops[0]!.reached;
    await applyEvents(pool, [made(bob, 5, 'parent', { text: '' })]);
    stops[0]!.release();
    await early;
    expect(await notified(child)).toEqual([{ did: bob, reason: 'reply' }]);
  });

  it('a reply that comes while its parent becomes valid is valid', async () => {
    const [root, parent, child] = [uriOf(ann, 'root'), uriOf(bob, 'parent'), uriOf(cat, 'child')];
    await applyEvents(pool, [reply(bob, 5, 'parent', root)]);
    const [a, b] = [staged(['COMMIT', 1]), staged(['COMMIT', 1])];
    const last = applyEvents(a.pool, [reply(cat, 10, 'child', parent, root)]);
    await a.stops[0]!.reached;
    const first = applyEvents(b.pool, [made(ann, 1, 'root', { text: '' })]);
    await b.stops[0]!.reached;
    a.stops[0]!.release();
    await doneOrBlocked(last);
    b.stops[0]!.release();
    await Promise.all([first, last]);
    expect(await flagsOf(parent)).toEqual({ invalid: null, violates: null });
    expect(await flagsOf(child)).toEqual({ invalid: null, violates: null });
  });
});

describe('rows that another holds', () => {
  const [held, free] = [uriOf(bob, 'held'), uriOf(bob, 'free')];
  const old = ([event]: StreamEvent[]) => [{ ...event!, seq: -1 } as StreamEvent];

  /** @returns what lets go of it */
  async function hold(table: string, key: string, column = 'uri'): Promise<() => Promise<void>> {
    const client = await pool.connect();
    await client.query('BEGIN');
    await client.query(`SELECT FROM ${table} WHERE ${column} = $1 FOR UPDATE`, [key]);
    return async () => {
      await client.query('ROLLBACK');
      client.release();
    };
  }

  it('live entries of a repo that another holds keep those of others waiting no longer', async () => {
    await applyEvents(pool, [made(ann, 1, 'first', { text: '' }), made(bob, 1, 'first', { text: '' })]);
    const letGo = await hold('headwater.repo', ann, 'did');
    const applying = applyEvents(pool, [
      made(ann, 2, 'held', { text: '' }),
      made(bob, 2, 'free', { text: '' }),
    ]);
    await until('the other is written', async () => (await flagsOf(free)) !== undefined);
    await letGo();
    expect(await applying).toMatchObject({
      written: 2,
      rows: new Map([
        ['post', 2],
        ['feed_item', 2],
        ['record', 2],
      ]),
    });
    expect(await flagsOf(uriOf(ann, 'held'))).toBeDefined();
  });

  it.each([
    ['an old gate', old],
    ['a live one', (events: StreamEvent[]) => events],
  ])('are judged later than those that nobody holds, for %s', async (_, kind) => {
    const root = uriOf(ann, 'root');
    await applyEvents(pool, [made(ann, 1, 'root', { text: '' })]);
    await applyEvents(pool, [[...reply(bob, 5, 'held', root), ...reply(bob, 5, 'free', root)]]);
    const letGo = await hold('post', held);
    const judging = applyEvents(pool, [kind(gate(ann, 2, 'root', []))]);
    await until('the other is judged', async () => (await flagsOf(free)).violates === true);
    expect(await flagsOf(held)).toEqual({ invalid: null, violates: null });
    await letGo();
    await judging;
    expect(await flagsOf(held)).toEqual({ invalid: null, violates: true });
    const { rows } = await pool.query('SELECT "replyCount"::int AS n FROM post_agg WHERE uri = $1', [root]);
    expect(rows).toEqual([{ n: 0 }]);
  });

  it('go with the post that they were made of, though it takes a while', async () => {
    const quoted = uriOf(ann, 'quoted');
    const embed = { $type: 'app.bsky.embed.record', record: refOf(quoted) };
    const repostNsid = 'app.bsky.feed.repost';
    await applyEvents(pool, [made(ann, 1, 'quoted', { text: '' })]);
    await applyEvents(pool, [made(bob, 3, 'held', { text: '', embed })]);
    await applyEvents(pool, [made(cat, 3, 'repost', { subject: refOf(quoted) }, repostNsid)]);
    const letGo = [await hold('quote', held), await hold('feed_item', uriOf(cat, 'repost', repostNsid))];
    const removing = applyEvents(pool, [deleted(ann, 8, 'quoted')]);
    await doneOrBlocked(removing);
    for (const release of letGo) await release();
    await removing;
    expect((await pool.query('SELECT FROM quote')).rowCount).toBe(0);
    expect((await pool.query(`SELECT FROM feed_item WHERE type = 'repost'`)).rowCount).toBe(0);
    const { rows } = await pool.query('SELECT "quoteCount"::int AS n FROM post_agg WHERE uri = $1', [quoted]);
    expect(rows).toEqual([{ n: 0 }]);
  });
});

it('who was unfollowed while his reply is judged is judged without the follow', async () => {
  const child = uriOf(cat, 'child');
  await applyEvents(pool, [
    made(ann, 1, 'root', { text: '' }),
    gate(ann, 2, 'root', [{ $type: 'app.bsky.feed.threadgate#followingRule' }]),
    made(ann, 3, 'follow', { subject: cat }, 'app.bsky.graph.follow'),
  ]);
  const { pool: slow, stops } = staged(['COMMIT', 2]);
  // From a fetch: it is judged after the commit alone.
  const [event] = reply(cat, 10, 'child', uriOf(ann, 'root'));
  const judging = applyEvents(slow, [[{ ...event!, seq: -1 } as StreamEvent]]);
  await stops[0]!.reached;
  await applyEvents(pool, [deleted(ann, 8, 'follow', 'app.bsky.graph.follow')]);
  stops[0]!.release();
  await judging;
  expect(await flagsOf(child)).toEqual({ invalid: null, violates: true });
});

it('who was unfollowed before he replied is judged so, also when that comes late', async () => {
  const child = uriOf(cat, 'child');
  await applyEvents(pool, [
    [...made(ann, 1, 'root', { text: '' })],
    gate(ann, 2, 'root', [{ $type: 'app.bsky.feed.threadgate#followingRule' }]),
    made(ann, 3, 'follow', { subject: cat }, 'app.bsky.graph.follow'),
  ]);
  await applyEvents(pool, [reply(cat, 10, 'child', uriOf(ann, 'root'))]);
  await applyEvents(pool, [deleted(ann, 8, 'follow', 'app.bsky.graph.follow')]);
  expect(await flagsOf(child)).toEqual({ invalid: null, violates: true });
});

it('what was quoted while its account was removed is not quoted any more', async () => {
  const quoted = uriOf(ann, 'quoted');
  await applyEvents(pool, [made(ann, 1, 'quoted', { text: '' })]);
  await applyEvents(pool, [
    [{ type: 'account', seq: 1, time: at(2), did: ann, active: false, status: 'deleted' }],
  ]);
  await confirmDeparture(pool, ann);
  const { pool: slow, stops } = staged(['COMMIT', 1]);
  const purge = purgeRepo(slow, ann);
  await stops[0]!.reached;
  const embed = { $type: 'app.bsky.embed.record', record: refOf(quoted) };
  await applyEvents(pool, [made(bob, 3, 'quote', { text: '', embed })]);
  stops[0]!.release();
  expect(await purge).toEqual({ removed: 1, done: true });
  expect((await pool.query('SELECT FROM quote')).rowCount).toBe(0);
  const { rows } = await pool.query('SELECT "quoteCount"::int AS n FROM post_agg WHERE uri = $1', [quoted]);
  expect(rows).toEqual([{ n: 0 }]);
});
