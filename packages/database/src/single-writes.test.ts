import type { StreamEvent } from '@headwater/events';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { blob } from '../../../test/reference/records.ts';
import { useDatabase } from '../../../test/support/index.ts';
import { truncateAll } from '../testing/dump.ts';
import { cidOf, didOf, tid } from '../testing/world.ts';
import { Counts } from './counts.ts';
import { applyEvents, databasePool, type Pool } from './index.ts';
import type { Client } from './pool.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 4, applicationName: 'test' });
});
afterAll(() => pool.end());
afterEach(() => truncateAll(pool));

const time = '2026-01-01T00:00:00.000Z';
const liked = `at://${didOf(9)}/app.bsky.feed.post/a`;

function at(did: string, rev: number, collection: string, rkey: string) {
  return { seq: 1, time, did, commit: cidOf(`${did} ${rev}`), rev: tid(rev), collection, rkey };
}

function create(did: string, collection: string, rkey: string, record: object): StreamEvent {
  const full = { $type: collection, createdAt: time, ...record };
  return { type: 'create', ...at(did, 1, collection, rkey), cid: cidOf(JSON.stringify(full)), record: full };
}

const like = (did: string) =>
  create(did, 'app.bsky.feed.like', 'a', { subject: { uri: liked, cid: cidOf(liked) } });
const remove = (did: string, rev: number): StreamEvent => ({
  type: 'delete',
  ...at(did, rev, 'app.bsky.feed.like', 'a'),
});
const likes = async () =>
  (await pool.query('SELECT "likeCount" FROM post_agg WHERE uri = $1', [liked])).rows[0]?.likeCount;

it('counts add up within a batch, do not grow on replay and shrink again', async () => {
  const all = [1, 2, 3].map((n) => [like(didOf(n))]);
  await applyEvents(pool, all);
  await applyEvents(pool, all);
  expect(Number(await likes())).toBe(3);
  await applyEvents(pool, [[remove(didOf(2), 2)]]);
  await applyEvents(pool, [[remove(didOf(2), 2)]]);
  expect(Number(await likes())).toBe(2);
});

it('counts are written in one order, whatever the order of the events', async () => {
  const keys: string[][] = [];
  const query = async ({ values }: { values?: string[][] }) => {
    if (values) keys.push(values[0]!);
    return { rows: [] };
  };
  const client = { query };
  const counts = new Counts();
  for (const key of ['c', 'a', 'b']) counts.add('post_agg.likeCount', key, 1);
  await counts.write(client as unknown as Client);
  expect(keys).toEqual([['a', 'b', 'c']]);
});

it('a record whose delete came first never comes back, and leaves nothing in record', async () => {
  const did = didOf(1);
  await applyEvents(pool, [[remove(did, 2)]]);
  expect((await pool.query('SELECT uri FROM record')).rows).toEqual([]);
  await applyEvents(pool, [[like(did)]]);
  expect((await pool.query('SELECT uri FROM record')).rows).toEqual([]);
});

it('an avatar is the CID in its blob', async () => {
  const avatar = blob('a face', 'image/png') as { ref: { $link: string } };
  await applyEvents(pool, [[create(didOf(1), 'app.bsky.actor.profile', 'self', { avatar })]]);
  expect((await pool.query('SELECT "avatarCid" FROM profile')).rows).toEqual([
    { avatarCid: avatar.ref.$link },
  ]);
});
