import { applyEvents, databasePool, type Pool } from '@headwater/database';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startRedis, type TestRedis, useDatabase } from '../../../test/support/index.ts';
import { startNetwork } from '../../../test/support/network.ts';
import { Harness } from './testing/harness.ts';

/** The whole way on a real PDS and PLC; what is sent is written by the real writer. */
const database = useDatabase();
let network: Awaited<ReturnType<typeof startNetwork>>;
let server: TestRedis;
let pool: Pool;
let harness: Harness;

beforeAll(async () => {
  [network, server] = await Promise.all([startNetwork(), startRedis()]);
  pool = databasePool({ url: database.url, max: 2, applicationName: 'test' });
  const { url: redisUrl } = server;
  harness = new Harness({ redisUrl, databaseUrl: database.url, plcUrl: network.plcUrl }).start();
});
afterAll(async () => {
  await harness[Symbol.asyncDispose]();
  await pool.end();
  await Promise.all([network.stop(), server.stop()]);
});
beforeEach(() => harness.redis.del('firehose_backfill'));

async function fetchAll(...jobs: Parameters<Harness['add']>): Promise<void> {
  await harness.add(...jobs);
  await harness.idle();
}

/** Writes what is in the output stream to the tables, as the indexer does. */
async function index(): Promise<void> {
  for (const events of await harness.output()) await applyEvents(pool, [events]);
  await harness.redis.del('firehose_backfill');
}

async function recordsOf(did: string): Promise<string[]> {
  const { rows } = await pool.query('SELECT uri FROM record WHERE did = $1 ORDER BY uri COLLATE "C"', [did]);
  return rows.map(({ uri }) => uri.slice(`at://${did}/`.length));
}

async function repoOf(did: string): Promise<{ state: string; floor: string; head: string; reason: string }> {
  return (await pool.query('SELECT state, floor, head, reason FROM headwater.repo WHERE did = $1', [did]))
    .rows[0];
}

it('fetches a repo whole, then only what has changed', async () => {
  const alice = await network.createAccount();
  const { did } = alice;
  await alice.profile({ displayName: 'Alice' });
  const posts = [await alice.post('one'), await alice.post('two'), await alice.post('three \u0000 é 🌊')];
  await alice.create('com.example.other', { x: 1 });
  await fetchAll({ did });
  const [entry] = await harness.output();
  expect(entry!.length).toBe(5);
  expect(entry![0]).toMatchObject({ type: 'create', seq: -1, part: 0, fresh: true, did });
  expect(entry!.at(-1)).toMatchObject({ type: 'repo', parts: 1 });
  const rkeys = posts.map(({ uri }) => uri.split('/').at(-1));
  const created = ['app.bsky.actor.profile/self', ...rkeys.map((rkey) => `app.bsky.feed.post/${rkey}`)];
  expect(await harness.sentOf(did)).toEqual([...created.map((path) => `create ${path}`), 'repo']);
  await index();
  expect(await recordsOf(did)).toEqual(created);
  const first = await repoOf(did);
  expect(first.state).toBe('complete');

  // Nothing happened: nothing is fetched, whether the rev was listed or has to be asked for.
  const requests = await harness.count('backfiller_fetched_bytes_total');
  await fetchAll({ did, rev: first.floor });
  await fetchAll({ did });
  expect(await harness.count('backfiller_fetched_bytes_total')).toBe(requests);
  expect(await harness.count('backfiller_repos_total', { outcome: 'unchanged' })).toBe(2);
  expect(await harness.output()).toEqual([]);

  await alice.profile({ displayName: 'Alice, changed' });
  await alice.delete(posts[0]!);
  const { uri } = await alice.post('four');
  await fetchAll({ did, rev: '3zzzzzzzzzzzz' });
  expect(await harness.sentOf(did)).toEqual([
    'update app.bsky.actor.profile/self',
    `delete app.bsky.feed.post/${rkeys[0]}`,
    `create app.bsky.feed.post/${uri.split('/').at(-1)}`,
    'repo',
  ]);
  expect((await harness.output())[0]![0]).not.toHaveProperty('fresh');
  await index();
  expect(await recordsOf(did)).toEqual([
    created[0],
    created[2],
    created[3],
    uri.slice(`at://${did}/`.length),
  ]);
  expect((await repoOf(did)).floor > first.floor).toBe(true);
});

it('sends a repo again that was sent and is not applied yet only when forced', async () => {
  const bob = await network.createAccount();
  await bob.post('one');
  await fetchAll({ did: bob.did });
  const { state, floor } = await repoOf(bob.did);
  expect(state).toBe('sent');
  await fetchAll({ did: bob.did, rev: floor });
  await fetchAll({ did: bob.did });
  expect(await harness.count('backfiller_repos_total', { outcome: 'on-its-way' })).toBe(2);
  expect((await harness.output()).length).toBe(1);
  await fetchAll({ did: bob.did, force: true });
  const fetches = (await harness.output()).map(([first]) => (first as { fetch?: string }).fetch);
  expect(new Set(fetches).size).toBe(2);
  await index();
  expect((await repoOf(bob.did)).state).toBe('complete');
});

it('compares a repo whose rows are doubted, although nothing is newer', async () => {
  const carol = await network.createAccount();
  const { uri } = await carol.post('one');
  await fetchAll({ did: carol.did });
  await index();
  await pool.query('DELETE FROM record WHERE uri = $1', [uri]);
  await fetchAll({ did: carol.did, reason: 'gap' });
  expect(await harness.sentOf(carol.did)).toEqual([]);
  await fetchAll({ did: carol.did, reason: 'desync' });
  expect(await harness.sentOf(carol.did)).toEqual([
    `create ${uri.slice(`at://${carol.did}/`.length)}`,
    'repo',
  ]);
});

it('shows an account that is hidden here and served by its host, without another fetch', async () => {
  const erin = await network.createAccount();
  const { did } = erin;
  await erin.post('one');
  await fetchAll({ did });
  await index();
  await pool.query(
    `UPDATE headwater.repo SET account_status = 'suspended', account_time = now() - interval '1 s' WHERE did = $1`,
    [did],
  );
  await fetchAll({ did, reason: 'account' });
  const { rows } = await pool.query('SELECT account_status AS s FROM headwater.repo WHERE did = $1', [did]);
  expect(rows).toEqual([{ s: null }]);
  expect(await harness.sentOf(did)).toEqual([]);
});

it('notes what a host says of an account, and takes it back when it serves the repo again', async () => {
  const dave = await network.createAccount();
  const { did } = dave;
  await dave.post('one');
  const status = async () =>
    (await pool.query('SELECT account_status FROM headwater.repo WHERE did = $1', [did])).rows[0]
      ?.account_status;

  await fetchAll({ did, active: false, status: 'suspended' });
  expect(await repoOf(did)).toMatchObject({ state: 'unavailable', reason: 'suspended' });
  expect(await status()).toBe('suspended');

  await dave.agent.com.atproto.server.deactivateAccount({});
  await fetchAll({ did });
  expect(await repoOf(did)).toMatchObject({ state: 'unavailable', reason: 'RepoDeactivated' });
  expect(await status()).toBe('deactivated');
  expect(await harness.dead()).toEqual({});

  await dave.agent.com.atproto.server.activateAccount();
  await fetchAll({ did });
  expect(await harness.sentOf(did)).toEqual([
    expect.stringMatching(/^create app.bsky.feed.post/),
    'account',
    'repo',
  ]);
  await index();
  expect(await status()).toBeNull();
  expect((await repoOf(did)).state).toBe('complete');
});

it('keeps nothing of a DID without a repo, and notes why of one that is known', async () => {
  const unknown = { did: 'did:plc:zzzzzzzzzzzzzzzzzzzzzzzz' };
  await fetchAll(unknown, { did: 'did:example:nobody' });
  expect(await harness.count('backfiller_repos_total', { outcome: 'not-found' })).toBe(1);
  expect(await harness.count('backfiller_repos_total', { outcome: 'bad-did' })).toBe(1);
  expect(await repoOf(unknown.did)).toBeUndefined();
  expect(await repoOf('did:example:nobody')).toBeUndefined();
  expect(await harness.dead()).toEqual({});

  // Of a repo that is known it is noted.
  await pool.query('INSERT INTO headwater.repo (did) VALUES ($1)', [unknown.did]);
  await fetchAll(unknown);
  expect(await repoOf(unknown.did)).toMatchObject({ state: 'unavailable', reason: 'identity-not-found' });
});
