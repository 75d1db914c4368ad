import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect, keysOf, pausedHosts, pausesOf, type Redis } from '@headwater/streams';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startRedis, type TestRedis, useDatabase } from '../../../../test/support/index.ts';
import { keyOf } from '../../../../test/support/redis.ts';

/** The command as an operator types it. */
const database = useDatabase();
let server: TestRedis;
let redis: Redis;
let sql: postgres.Sql;

beforeAll(async () => {
  server = await startRedis();
  redis = connect(server.url);
  sql = postgres(database.url, { max: 1 });
});
afterAll(async () => {
  redis.disconnect();
  await sql.end();
  await server.stop();
});

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

async function headwater(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { PATH: process.env['PATH'], REDIS_URL: server.url, DATABASE_URL: database.url };
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [main, ...args], { env });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
}

const newest = async () =>
  (
    await sql`SELECT actor, action, subject, reason, outcome FROM headwater.audit ORDER BY id DESC LIMIT 1`
  )[0];

it('pauses and resumes, on the record', async () => {
  expect((await headwater('pause', 'indexer-live', '--dry-run')).out).toBe('would pause indexer-live\n');
  expect(await pausesOf(redis)).toEqual({});
  await headwater('pause', 'indexer-live', '--reason', 'a test');
  expect(await pausesOf(redis)).toMatchObject({ 'indexer-live': { reason: 'a test' } });
  expect(await newest()).toMatchObject({ action: 'pause', subject: 'indexer-live', reason: 'a test' });
  expect((await headwater('pause')).out).toContain('a test');
  expect((await headwater('resume', 'all')).out).toContain('indexer-live goes on');
  expect(await pausesOf(redis)).toEqual({});
  const { code, err } = await headwater('pause', 'indexer');
  expect(code).toBe(1);
  expect(err).toContain('name one of ingester-firehose');
});

it('pauses and resumes a host, on the record', async () => {
  await headwater('pause', 'host', 'https://pds.example', '--reason', 'asked to');
  expect(await pausedHosts(redis)).toMatchObject({ 'pds.example': { reason: 'asked to' } });
  expect(await newest()).toMatchObject({ action: 'pause', subject: 'host https://pds.example' });
  await redis.zadd('repo_backfill:failing', Date.now(), 'bad.example');
  await redis.hset('repo_backfill:host:bad.example', { strikes: 2, failures: 2, error: 'HTTP 500' });
  const { out } = await headwater('status');
  expect(out).toMatch(/^pds\.example +paused +0 +0$/m);
  expect(out).toMatch(/^bad\.example +asked +2 +2 +HTTP 500$/m);
  expect((await headwater('resume', 'host', 'pds.example')).out).toContain('asked again');
  expect((await headwater('resume', 'host', 'pds.example')).out).toContain('was not paused');
  expect((await headwater('pause', 'host')).err).toContain('say which host');
  expect(await pausedHosts(redis)).toEqual({});
});

it('sets a cursor, on the record', async () => {
  const args = ['cursor', 'set', 'firehose_live', 'relay.example', '7'];
  expect((await headwater(...args, '--dry-run')).out).toContain('would be set from none to 7');
  expect(await redis.get(keyOf('firehose_live:cursor:relay.example'))).toBeNull();
  await headwater(...args, '--reason', 'began anew');
  expect(await redis.get(keyOf('firehose_live:cursor:relay.example'))).toBe('7');
  expect(await newest()).toMatchObject({ subject: 'firehose_live relay.example', reason: 'began anew' });
  await redis.set(keysOf(redis, 'firehose_live').beside('lease', 'relay.example'), 'an ingester');
  expect(await headwater(...args)).toMatchObject({
    code: 1,
    err: expect.stringContaining('pause ingester-firehose first'),
  });
});

it('discards letters, on the record', async () => {
  for (let i = 0; i < 3; i++)
    await redis.xadd(keyOf('label_live:dead'), '*', 'event', '{}', 'dead:reason', 'x');
  expect((await headwater('dead', 'discard', 'label_live', '--all', '--dry-run')).out).toContain('3 letters');
  expect(await redis.xlen(keyOf('label_live:dead'))).toBe(3);
  expect((await headwater('dead', 'discard', 'label_live', '--all', '--reason', 'junk')).out).toContain(
    '3 letters',
  );
  expect(await redis.xlen(keyOf('label_live:dead'))).toBe(0);
  const outcome = '3 letters of label_live discarded';
  expect(await newest()).toMatchObject({
    action: 'discard',
    subject: 'label_live: all',
    reason: 'junk',
    outcome,
  });
});

it('counts that are wrong are found and repaired', async () => {
  await sql`INSERT INTO bsky.post_agg (uri, "likeCount") VALUES ('at://did:plc:x/app.bsky.feed.post/1', 5)`;
  const found = await headwater('counts', 'verify');
  expect(found).toMatchObject({ code: 1, out: expect.stringMatching(/likeCount +5 +0\n1 wrong counts/) });
  expect((await headwater('counts', 'repair', '--dry-run')).out).toContain('1 wrong counts');
  expect((await headwater('counts', 'repair', '--reason', 'drill')).out).toContain('1 counts repaired');
  expect(await newest()).toMatchObject({ action: 'counts repair', reason: 'drill' });
  expect(await headwater('counts', 'verify', '--sample', '10')).toMatchObject({ code: 0 });
});

it('doctor exits 1 where something is wrong, and says what mends it', async () => {
  await redis.xadd('firehose_live', '*', 'event', '{}');
  const { code, out, err } = await headwater('doctor');
  expect(code).toBe(1);
  expect(out).toMatch(/✗ stream firehose_live: .*\n {4}→ Start the indexer/);
  expect(err).toMatch(/checks failed/);
});

it('turns bulk mode on and ends it, on the record; status and doctor say so', async () => {
  expect((await headwater('bulk', 'status')).out).toBe('bulk mode is off\n');
  expect((await headwater('bulk', 'finish')).err).toContain('there is nothing to finish');
  expect((await headwater('bulk', 'start', '--reason', 'first load')).out).toContain('bulk mode is on');
  expect(await newest()).toMatchObject({ action: 'bulk start', reason: 'first load' });
  expect((await headwater('bulk', 'start')).err).toContain('on already');
  expect((await headwater('bulk', 'status')).out).toMatch(
    /loading.*0 of 25 steps[\s\S]*like_creator_cursor_idx.*to do/,
  );
  expect((await headwater('status')).out).toContain('Bulk mode is on since');
  expect((await headwater('doctor')).out).toContain('headwater bulk finish');
  const { code, out } = await headwater('bulk', 'finish', '--sessions', '3', '--memory', '64MB');
  expect([code, out]).toEqual([0, expect.stringMatching(/counts post_agg: [\s\S]*finished in/)]);
  expect((await headwater('bulk', 'status')).out).toContain('bulk mode is off; it ended at');
}, 60_000);
