import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from '@headwater/streams';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeLabeler } from '../support/labeler.ts';
import { type Network, startNetwork } from '../support/network.ts';
import { useDatabase } from '../support/postgres.ts';
import { keyOf, type TestRedis, useRedis } from '../support/redis.ts';
import { type Place, startService } from '../support/services.ts';
import { until } from '../support/wait.ts';

/** Every stream's entries as `redis-cli XRANGE` shows them, against docs/contracts.md. */
describe('streams as docs/contracts.md says', () => {
  const contracts = readFileSync(new URL('../../docs/contracts.md', import.meta.url), 'utf8');
  const database = useDatabase();
  const redis = useRedis();
  let network: Network;
  let did: string;

  beforeAll(async () => {
    network = await startNetwork();
    const ann = await network.createAccount('ann');
    did = ann.did;
    const post = await ann.post('hello');
    const reply = await ann.reply(post, 'to myself');
    await ann.delete(reply);
    await ann.profile({ displayName: 'Ann' });
    await ann.create('com.example.thing', { a: 1 });
    await network.waitForSequencer();
  });
  afterAll(() => network?.stop());

  const place = (env: Record<string, string> = {}): Place => ({
    redisUrl: redis.server.url,
    databaseUrl: database.url,
    plcUrl: network.plcUrl,
    env: { INGESTER_RELAY_HOSTS: network.pdsHost, ...env },
  });

  it('repo_backfill', async () => {
    await using _ = await startService('ingester', place({ INGESTER_MODE: 'backfill' }));
    const [entry] = await entriesOf(redis.server, 'repo_backfill', 1);
    expect(entry!.field).toBe('repo');
    expect(entry!.value).toMatchObject({ did, host: network.pdsHost, active: true });
    expect(entry!.value['rev']).toMatch(/^[2-7a-z]{13}$/);
    expectDocumented(contracts, [entry!.value]);
    const cursor = () => redisCli(redis.server, 'GET', keyOf(`repo_backfill:cursor:${network.pdsHost}`));
    await until('the enumeration ends', () => cursor()[0] === '!ingester-done');
  });

  it('firehose_live', async () => {
    const relay = connect(redis.server.url);
    await relay.set(keyOf(`firehose_live:cursor:${network.pdsHost}`), '0');
    await using _ = await startService('ingester', place({ INGESTER_MODE: 'firehose' }));
    // Account, identity, first commit, then a commit each; the one of another app has no event left of it.
    const last = (entries: Entry[]) => entries.some(({ value }) => [value].flat()[0].type === 'repo');
    const entries = await until(
      () => JSON.stringify(readEntries(redis.server, 'firehose_live')),
      () => {
        const read = readEntries(redis.server, 'firehose_live');
        return last(read) && read.length >= 6 && read;
      },
    );
    const events = entries.flatMap(({ value }) => [value].flat());
    expect(new Set(entries.map(({ field }) => field))).toSatisfy((names: Set<string>) =>
      [...names].every((name) => name === 'event' || name === 'events'),
    );
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(['account', 'identity', 'create', 'delete', 'repo']),
    );
    for (const event of events)
      expect(event).toMatchObject({ did, seq: expect.any(Number), time: expect.any(String) });
    const created = events.find(({ type }) => type === 'create')!;
    expect(created).toMatchObject({
      collection: 'app.bsky.feed.post',
      record: { text: 'hello' },
      data: expect.any(String),
    });
    expect(created['cid']).toMatch(/^bafyrei/);
    const removed = events.find(({ type }) => type === 'delete')!;
    expect(removed).not.toHaveProperty('record');
    expectDocumented(contracts, events);
    const seqs = events.map(({ seq }) => seq);
    expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
    expect(await relay.get(keyOf(`firehose_live:cursor:${network.pdsHost}`))).toBe(
      `${await network.waitForSequencer()}`,
    );
    relay.disconnect();
  });

  it('firehose_backfill', async () => {
    await using _ = await startService('repo-backfiller', place());
    const [entry] = await entriesOf(redis.server, 'firehose_backfill', 1);
    expect(entry!.field).toBe('events');
    const events = [entry!.value].flat();
    expect(events[0]).toMatchObject({ seq: -1, fetch: expect.any(String), part: 0, fresh: true });
    expect(events.at(-1)).toMatchObject({ type: 'repo', seq: -1, parts: 1 });
    expect(events.map(({ type, collection }) => collection ?? type)).toEqual([
      'app.bsky.actor.profile',
      'app.bsky.feed.post',
      'repo',
    ]);
    expectDocumented(contracts, events);
    await until('the job is done', () => readEntries(redis.server, 'repo_backfill').length === 0);
  });

  it('label_live', async () => {
    await using labeler = await FakeLabeler.start();
    labeler.emit({ uri: did, val: 'spam', cts: '2026-01-01T00:00:00.000Z' });
    const env = { INGESTER_MODE: 'labels', INGESTER_LABELER_HOSTS: labeler.host };
    await using _ = await startService('ingester', { ...place(env), plcUrl: labeler.url });
    const [entry] = await entriesOf(redis.server, 'label_live', 1);
    const events = [entry!.value].flat();
    expect(events[0]).toMatchObject({ type: 'label', label: { src: labeler.did, uri: did, val: 'spam' } });
    expectDocumented(contracts, [...events, ...events.map(({ label }) => label)]);
  });
});

interface Entry {
  field: string;
  // biome-ignore lint/suspicious/noExplicitAny: an entry's JSON, whose shape is what is tested
  value: any;
}

function redisCli(redis: TestRedis, ...args: string[]): string[] {
  const text = execFileSync('redis-cli', ['-c', '-p', `${redis.port}`, ...args], { encoding: 'utf8' });
  return text.trimEnd().split('\n');
}

/** The one field of each entry; redis-cli prints id, field and value on a line each. */
function readEntries(redis: TestRedis, stream: string): Entry[] {
  const lines = redisCli(redis, 'XRANGE', stream, '-', '+', 'COUNT', '100').filter((line) => line !== '');
  const entries: Entry[] = [];
  for (let i = 0; i < lines.length; i += 3) {
    expect(lines[i]).toMatch(/^\d+-\d+$/);
    entries.push({ field: lines[i + 1]!, value: JSON.parse(lines[i + 2]!) });
  }
  return entries;
}

function entriesOf(redis: TestRedis, stream: string, count: number): Promise<Entry[]> {
  return until(`${count} entries in ${stream}`, () => {
    const entries = readEntries(redis, stream);
    return entries.length >= count && entries;
  });
}

/** No field that the page does not name. */
function expectDocumented(page: string, objects: Record<string, unknown>[]): void {
  const names = new Set(objects.flatMap((object) => Object.keys(object)));
  const missing = [...names].filter((name) => !new RegExp(`\`${name}[\`:]|\\\\"${name}\\\\"`).test(page));
  expect(missing).toEqual([]);
}
