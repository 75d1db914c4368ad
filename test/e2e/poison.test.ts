import { connect, type DeadLetter, dead, type Redis } from '@headwater/streams';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tidOf } from '../support/crowd.ts';
import { useDatabase } from '../support/postgres.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { cidOf, cutAt, didOf, type NewRecord, RepoHost } from '../support/repos.ts';
import { type RunningService, startService, untilDrained } from '../support/services.ts';
import { until } from '../support/wait.ts';

const COLLECTION = 'app.bsky.feed.post';

/** What can't be read or indexed ends once, with its reason; its neighbours are indexed; the process lives. */
describe('poison', () => {
  const database = useDatabase();
  const services: RunningService[] = [];
  let server: TestRedis;
  let redis: Redis;
  let host: RepoHost;
  let sql: postgres.Sql;

  beforeAll(async () => {
    [server, host] = await Promise.all([startRedis(), RepoHost.start()]);
    redis = connect(server.url);
    sql = postgres(database.url, { max: 2 });
    for (const name of ['ann', 'bob', 'cut', 'nul']) await host.add(didOf(name), postsOf(name));
    host.faults.set(didOf('cut'), cutAt(0.6));
    const env = { INGESTER_RELAY_HOSTS: host.host, BACKFILLER_MAX_ATTEMPTS: '2' };
    const place = { redisUrl: server.url, databaseUrl: database.url, plcUrl: host.url, env };
    services.push(await startService('indexer', place), await startService('repo-backfiller', place));
  });
  afterAll(async () => {
    await Promise.all(services.map((service) => service[Symbol.asyncDispose]()));
    await sql?.end();
    redis?.disconnect();
    await host?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  const lettersOf = async (stream: string): Promise<DeadLetter[]> => (await dead.list(redis, stream)).letters;
  const add = (stream: string, field: string, value: object | string) =>
    redis.xadd(stream, '*', field, typeof value === 'string' ? value : JSON.stringify(value));
  const textsOf = async (name: string): Promise<string[]> =>
    (await sql`SELECT text FROM bsky.post WHERE creator = ${didOf(name)} ORDER BY uri`).map(
      (row) => row['text'],
    );
  const alive = () => expect(services.map(({ child }) => child.running)).toEqual([true, true]);

  it('a CAR cut in the middle is tried again, then a dead letter; the other repos are complete', async () => {
    for (const name of ['ann', 'cut', 'bob']) {
      await add('repo_backfill', 'repo', { did: didOf(name), host: host.host, rev: '', active: true });
    }
    await add('repo_backfill', 'repo', '{"did": ');
    await add('repo_backfill', 'repo', { host: host.host });
    await until('three dead letters', async () => (await lettersOf('repo_backfill')).length === 3);
    await untilDrained(server.url);
    const letters = await lettersOf('repo_backfill');
    expect(letters.map(({ reason }) => reason).sort()).toEqual(['bad-field', 'not-json', 'truncated']);
    const cut = letters.find(({ reason }) => reason === 'truncated')!;
    expect(cut.attempts).toBe(2);
    expect(JSON.parse(cut.fields['repo']!).did).toBe(didOf('cut'));
    expect(host.fetches.get(didOf('cut'))).toBe(2);
    expect(await textsOf('cut')).toEqual([]);
    for (const name of ['ann', 'bob']) expect(await textsOf(name)).toHaveLength(3);
    alive();
  });

  it('a letter that is put back after its cause is gone ends well', async () => {
    host.faults.clear();
    const letter = (await lettersOf('repo_backfill')).find(({ reason }) => reason === 'truncated')!;
    expect(await dead.requeue(redis, 'repo_backfill', [letter.id])).toBe(1);
    await until('the repo is there', async () => (await textsOf('cut')).length === 3);
    alive();
  });

  it('entries that are no JSON or lack a field are dead letters; their neighbours are indexed', async () => {
    const event = (n: number, more: object = {}) => ({
      ...{
        type: 'create',
        seq: n,
        time: '2026-05-01T00:00:00.000Z',
        did: didOf('live'),
        collection: COLLECTION,
      },
      ...{
        rkey: tidOf(n),
        rev: tidOf(n),
        since: n === 1 ? null : tidOf(n - 1),
        commit: cidOf({ n }),
        ...post(`live ${n}`),
      },
      ...more,
    });
    await add('firehose_live', 'event', event(1));
    await add('firehose_live', 'event', '{"type":"create","did":');
    await add('firehose_live', 'event', event(2, { rkey: undefined }));
    await add('firehose_live', 'nothing', 'at all');
    await add('firehose_live', 'event', event(3, { type: 'levitate' }));
    await add('firehose_live', 'event', event(4));
    await add('firehose_backfill', 'events', '[{"type":"create"}]');
    await add('label_live', 'event', '[]');
    const label = { src: didOf('labeler'), uri: didOf('ann'), val: 'spam', cts: '2026-01-01T00:00:00.000Z' };
    await add('label_live', 'event', { type: 'label', seq: 1, label });
    await untilDrained(server.url);
    const reasons = (await lettersOf('firehose_live')).map(({ reason }) => reason);
    // Lanes end in no order.
    expect(reasons.sort()).toEqual(['bad-field', 'no-field', 'not-json', 'unknown-type']);
    expect((await lettersOf('firehose_backfill')).map(({ reason }) => reason)).toEqual(['bad-field']);
    expect(await lettersOf('label_live')).toHaveLength(1);
    expect(await textsOf('live')).toEqual(['live 1', 'live 4']);
    expect(await sql`SELECT val FROM bsky.label`).toMatchObject([{ val: 'spam' }]);
    alive();
  });

  it('a record with a NUL in its text is kept losslessly as record, and cleaned in its own table', async () => {
    await host.add(didOf('nul'), [...postsOf('nul'), newPost(9, 'before\u0000after')]);
    await add('repo_backfill', 'repo', { did: didOf('nul'), host: host.host, rev: '', active: true });
    await until('the repo is there', async () => (await textsOf('nul')).length >= 3);
    await untilDrained(server.url);
    const uri = `at://${didOf('nul')}/${COLLECTION}/${tidOf(9)}`;
    const [row] = await sql`SELECT json FROM bsky.record WHERE uri = ${uri}`;
    const [own] = await sql`SELECT text FROM bsky.post WHERE uri = ${uri}`;
    expect(JSON.parse(row!['json']).text).toBe('before\u0000after');
    expect(own!['text']).toMatch(/^before.?after$/);
    expect(await textsOf('nul')).toHaveLength(4);
    alive();
  });
});

function post(text: string): { cid: string; record: Record<string, unknown> } {
  const record = { $type: COLLECTION, text, createdAt: '2026-05-01T00:00:00.000Z' };
  return { cid: cidOf(record), record };
}

function newPost(n: number, text: string): NewRecord {
  return { collection: COLLECTION, rkey: tidOf(n), value: post(text).record };
}

function postsOf(name: string): NewRecord[] {
  return [1, 2, 3].map((n) => newPost(n, `${name} ${n}`));
}
