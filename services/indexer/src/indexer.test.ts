import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { migrate } from '@headwater/database';
import { encodeEvent, encodeEvents, type StreamEvent } from '@headwater/events';
import { dead, keysOf } from '@headwater/streams';
import { describe, expect, it } from 'vitest';
import { differences, dump } from '../../../packages/database/testing/dump.ts';
import { expectedTables } from '../../../packages/database/testing/model.ts';
import { Random } from '../../../packages/database/testing/random.ts';
import { cidOf, didOf, makeRepo, tid } from '../../../packages/database/testing/world.ts';
import { keyOf } from '../../../test/support/redis.ts';
import { until, World } from '../testing/run.ts';

const did = didOf(1);
const time = '2026-01-01T00:00:00.000Z';

function post(rkey: string, text: string, rest: object = {}): StreamEvent {
  const record = { $type: 'app.bsky.feed.post', text, createdAt: time };
  const cid = cidOf(JSON.stringify(record));
  const commit = { seq: 1, time, did, commit: cid, rev: tid(1) };
  return { type: 'create', ...commit, collection: 'app.bsky.feed.post', rkey, cid, record, ...rest };
}

describe('the indexer', () => {
  it('writes every stream, and ends each entry that it can not write apart from its neighbours', async () => {
    await using world = await World.create();
    await world.add('firehose_live', encodeEvents([post('a', 'first'), post('b', 'a NUL \0 here')]));
    await world.add('firehose_live', { event: 'not JSON' });
    await world.add('firehose_live', { other: '{}' });
    await world.add('firehose_live', encodeEvent(post('c', 'no rev', { rev: undefined, did: didOf(2) })));
    await world.add('firehose_live', encodeEvent(post('d', 'too long'.repeat(1000), { rev: tid(2) })));
    await world.add('firehose_live', encodeEvent(post('e', 'last', { rev: tid(3) })));
    await world.add('firehose_backfill', encodeEvent(post('f', 'old', { seq: -1, did: didOf(3) })));
    const label = { src: 'did:plc:labeler', uri: did, val: 'spam', cts: time };
    await world.add('label_live', { event: JSON.stringify({ type: 'label', label }) });
    world.start();
    await world.drained();
    expect(await world.rows('SELECT text FROM post ORDER BY uri')).toEqual([
      { text: 'old' },
      { text: 'first' },
      { text: 'a NUL  here' },
      { text: 'last' },
    ]);
    expect(await world.rows('SELECT uri, val, neg FROM label')).toEqual([
      { uri: did, val: 'spam', neg: false },
    ]);
    const { letters } = await dead.list(world.redis, 'firehose_live');
    expect(letters.map(({ reason }) => reason)).toEqual(['not-json', 'no-field', 'bad-field']);
    expect(await world.metric('indexer_refused_total', { reason: 'length' })).toBe(1);
    expect(await world.metric('indexer_rows_total', { table: 'post' })).toBe(4);
    expect(await world.metric('indexer_live_delay_seconds', { le: '+Inf' })).toBeGreaterThan(0);
  });

  it('waits for migrations, never makes them', async () => {
    await using world = await World.create('template0');
    await world.add('firehose_live', encodeEvent(post('a', 'x')));
    world.start();
    const connected = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
      AND application_name = 'headwater indexer'`;
    await until(async () => (await world.rows(connected)).length > 0);
    expect(await world.rows(`SELECT to_regclass('headwater.migration') AS made`)).toEqual([{ made: null }]);
    await migrate(world.database.url);
    await world.drained();
    expect(await world.rows('SELECT text FROM post')).toEqual([{ text: 'x' }]);
  });

  it('sends a repo with a hole in its history back to be fetched, ahead of others', async () => {
    await using world = await World.create();
    const first = post('a', '1', { since: null, data: 'd1' });
    const third = post('c', '3', { rev: tid(3), since: tid(2), data: 'd3' });
    for (const event of [first, third]) await world.add('firehose_live', encodeEvent(event));
    world.start({ INDEXER_GAP_GRACE_MS: '100' });
    const { urgent } = keysOf(world.redis, 'repo_backfill');
    await until(async () => (await world.redis.xlen(urgent)) === 1);
    const [[, fields]] = (await world.redis.xrange(urgent, '-', '+')) as [[string, string[]]];
    expect(JSON.parse(fields[1]!)).toMatchObject({ did, reason: 'gap', active: true });
    expect(await world.rows('SELECT head, gap_at IS NULL AS whole FROM headwater.repo')).toEqual([
      { head: tid(1), whole: false },
    ]);
  });

  it('loses and doubles nothing while sessions are cut and the process comes and goes', async () => {
    await using world = await World.create();
    const random = new Random(4);
    const repos = [1, 2, 3, 4, 5, 6].map((n) => makeRepo(random, didOf(n), 60));
    const entries = random.shuffle(repos.flatMap((repo) => repo.commits));
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'headwater indexer'`;
    for (const [i, entry] of entries.entries()) {
      await world.add('firehose_live', encodeEvents(entry));
      if (i % 60 === 20) world.start({ INDEXER_BATCH_SIZE: '7' });
      if (i % 60 === 40) await world.rows(cut);
      if (i % 60 === 59) await world.stop();
    }
    world.start();
    await world.drained();
    expect(await world.redis.xlen(keyOf('firehose_live:dead'))).toBe(0);
    const truth = repos.map((repo) => ({ did: repo.did, records: repo.states.at(-1)!.records }));
    expect(differences(expectedTables(truth), await dump(world.pool))).toEqual([]);
    const heads = await world.rows('SELECT did, head FROM headwater.repo ORDER BY did');
    expect(heads).toEqual(
      repos
        .map((repo) => ({ did: repo.did, head: repo.states.at(-1)!.rev }))
        .sort((a, b) => (a.did < b.did ? -1 : 1)),
    );
  });

  it('verifies handles in both directions, beside the records', async () => {
    const names: Record<string, string> = { 'alice.test': did };
    await using network = await directory(names);
    await using world = await World.create();
    const other = didOf(2);
    await world.add('firehose_live', encodeEvent(post('a', 'x')));
    await world.add('firehose_live', encodeEvent(post('a', 'x', { did: other })));
    const handles = async () => {
      const rows = await world.rows('SELECT did, handle FROM actor ORDER BY did');
      return Object.fromEntries(rows.map((row) => [row['did'], row['handle']]));
    };
    world.start({
      PLC_URL: network.url,
      HANDLE_RESOLVER_URL: network.url,
      HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
      INDEXER_HANDLE_CONCURRENCY: '4',
    });
    await until(async () => (await handles())[did] === 'alice.test');
    // Both documents claim the handle, which names only one of them.
    await until(async () => (await world.metric('indexer_handles_total', { outcome: 'none' })) === 1);
    expect(await handles()).toEqual({ [did]: 'alice.test', [other]: null });
    names['alice.test'] = other;
    await world.add('firehose_live', encodeEvent({ type: 'identity', seq: 2, time, did: other }));
    await until(async () => (await handles())[other] === 'alice.test');
    expect(await handles()).toEqual({ [did]: null, [other]: 'alice.test' });
  });

  it('verifies handles again by age, without any event', async () => {
    const names: Record<string, string> = { 'alice.test': did };
    await using network = await directory(names);
    await using world = await World.create();
    await world.add('firehose_live', encodeEvent(post('a', 'x')));
    const env = {
      PLC_URL: network.url,
      HANDLE_RESOLVER_URL: network.url,
      HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
      INDEXER_HANDLE_CONCURRENCY: '4',
    };
    const handle = async () => (await world.rows('SELECT handle FROM actor'))[0]?.['handle'];
    world.start(env);
    await until(async () => (await handle()) === 'alice.test');
    await world.stop();
    delete names['alice.test'];
    world.start({ ...env, INDEXER_HANDLE_MAX_AGE_MS: '1' });
    await until(async () => (await handle()) === null);
    expect(await world.metric('indexer_aged_handles_total')).toBeGreaterThanOrEqual(1);
    expect(await world.rows('SELECT tries FROM headwater.handle_due')).toEqual([{ tries: 1 }]);
  });
});

/** A PLC directory in which every document claims alice.test, and a service that resolves handles. */
async function directory(names: Record<string, string>): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((request, response) => {
    const url = new URL(request.url!, 'http://localhost');
    const handle = url.searchParams.get('handle');
    if (handle !== null) return void response.end(JSON.stringify({ did: names[handle] }));
    const id = decodeURIComponent(url.pathname.slice(1));
    response.end(JSON.stringify({ id, alsoKnownAs: ['at://alice.test'] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
