import { request } from 'node:http';
import { freePort } from '@headwater/local';
import { connect, keysOf, type Redis } from '@headwater/streams';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../support/postgres.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { type Place, type RunningService, spawnService, startService } from '../support/services.ts';

const database = useDatabase();
let server: TestRedis;
let redis: Redis;
let page: RunningService;
let port: number;
let place: Place;

beforeAll(async () => {
  [server, port] = await Promise.all([startRedis(), freePort()]);
  redis = connect(server.url);
  place = { redisUrl: server.url, databaseUrl: database.url, plcUrl: 'http://127.0.0.1:1' };
  const env = { CONSOLE_PORT: `${port}`, INGESTER_RELAY_HOSTS: 'relay.test' };
  page = await startService('console', { ...place, env });
});
afterAll(async () => {
  await page?.[Symbol.asyncDispose]();
  redis?.disconnect();
  await server?.stop();
});

/** With headers that a browser sends and fetch would not let us set. */
function ask(path: string, headers: Record<string, string> = {}, body?: object) {
  return new Promise<{ status: number; text: string }>((resolve, reject) => {
    const method = body ? 'POST' : 'GET';
    const json = body ? { 'content-type': 'application/json' } : {};
    const asked = request({ port, path, method, headers: { ...json, ...headers } }, async (answer) => {
      const text = (await answer.toArray()).join('');
      resolve({ status: answer.statusCode!, text });
    });
    asked.once('error', reject).end(body && JSON.stringify(body));
  });
}

async function act(name: string, given: object) {
  const csrf = /data-csrf="([^"]+)"/.exec((await ask('/')).text)![1]!;
  return ask(`/api/actions/${name}`, { 'x-csrf-token': csrf }, given);
}

it('does not start on an address that others reach, without a token or with a short one', async () => {
  for (const [env, said] of [
    [{ CONSOLE_HOST: '0.0.0.0' }, /CONSOLE_OPERATOR_TOKEN: is needed/],
    [{ CONSOLE_OPERATOR_TOKEN: 'short' }, /CONSOLE_OPERATOR_TOKEN: should have 16 characters/],
  ] as const) {
    const service = await spawnService('console', { ...place, env });
    expect((await service.child.exited).code).toBe(2);
    expect(service.child.output).toMatch(said);
    expect(service.child.output).not.toContain('short');
  }
});

it('without tokens answers to names of this machine only, and acts with the proof of its page', async () => {
  expect((await ask('/api/status')).status).toBe(200);
  expect((await ask('/api/status', { host: 'rebound.example' })).status).toBe(403);
  expect((await ask('/api/actions/pause', {}, { service: 'indexer-live' })).status).toBe(403);
  expect((await act('pause', { service: 'indexer-live', why: 'a test' })).status).toBe(200);
  expect(JSON.parse((await ask('/api/status')).text).pauses['indexer-live'].reason).toBe('a test');
  expect((await act('resume', { service: 'indexer-live' })).status).toBe(200);
  expect((await act('resume', { service: 'indexer-live' })).status).toBe(409);
});

it('sets a cursor back only when the host is typed again and nobody follows it', async () => {
  const keys = keysOf(redis, 'firehose_live');
  await redis.set(keys.cursor('relay.test'), '500');
  const given = { stream: 'firehose_live', host: 'relay.test', cursor: '400', confirm: 'relay.test' };
  expect(await act('rewind', { ...given, confirm: 'relay' })).toMatchObject({ status: 409 });
  await redis.set(keys.beside('lease', 'relay.test'), 'somebody');
  const held = await act('rewind', given);
  expect([held.status, held.text]).toEqual([409, expect.stringContaining('pause ingester-firehose first')]);
  expect(await redis.get(keys.cursor('relay.test'))).toBe('500');
  await redis.del(keys.beside('lease', 'relay.test'));
  expect((await act('rewind', given)).status).toBe(200);
  expect(await redis.get(keys.cursor('relay.test'))).toBe('400');
});

it('shows hosts with errors, and pauses and resumes one', async () => {
  await redis.zadd('repo_backfill:failing', Date.now(), 'bad.test');
  await redis.hset('repo_backfill:host:bad.test', { strikes: 3, failures: 2, error: '<b>HTTP 500</b>' });
  const { message } = JSON.parse((await act('pause', { host: 'bad.test', why: 'asked to' })).text);
  expect(message).toContain('bad.test is asked for no more repos');
  const { hosts } = JSON.parse((await ask('/api/status', {})).text);
  expect(hosts).toMatchObject({ failing: 1, paused: 1, parked: 0 });
  expect(hosts.shown[0]).toMatchObject({ host: 'bad.test', strikes: 3, pause: { reason: 'asked to' } });
  const { text } = await ask('/');
  expect(text).toMatch(/bad\.test.*paused.*&#60;b&#62;HTTP 500/);
  expect((await act('resume', { host: 'bad.test' })).status).toBe(200);
  expect((await act('resume', { host: 'bad.test' })).status).toBe(409);
});

it('asks a parked host again', async () => {
  const until = Date.now() + 600_000;
  await redis.zadd('repo_backfill:parked', until, 'pds.test');
  await redis.hset('repo_backfill:host:pds.test', 'until', until, 'strikes', 4, 'failures', 3);
  const { hosts } = JSON.parse((await ask('/api/status', {})).text);
  expect(hosts === null || hosts.parked <= 1).toBe(true);
  expect((await act('unpark', { host: 'pds.test' })).status).toBe(200);
  expect(await redis.exists('repo_backfill:host:pds.test')).toBe(0);
  expect((await act('unpark', { host: 'pds.test' })).status).toBe(409);
});

it('is served from itself alone, in no frame', async () => {
  const answer = await fetch(`http://127.0.0.1:${port}/`);
  const policy = answer.headers.get('content-security-policy')!;
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toContain('unsafe');
  expect(policy).toContain("frame-ancestors 'none'");
  expect((await ask('/assets/../auth.ts')).status).toBe(404);
});
