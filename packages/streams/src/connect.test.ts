import { expect, it } from 'vitest';
import { onCluster, startRedis } from '../../../test/support/redis.ts';
import { checkRedis, connect } from './connect.ts';
import { RedisUrlError } from './errors.ts';
import { keysOf } from './keys.ts';
import { parseRedisUrl } from './redis-url.ts';
import { until } from './testing.ts';
import type { Log } from './types.ts';

const [a, b] = [
  { host: 'a', port: 1 },
  { host: 'b', port: 2 },
];

it.each([
  ['redis://a:1', { kind: 'single', nodes: [a], tls: false }],
  ['redis://a:1/3', { kind: 'single', db: 3 }],
  ['redis://a', { nodes: [{ host: 'a', port: 6379 }] }],
  [
    'rediss://user:p%40ss@a:1',
    { kind: 'single', username: 'user', password: 'p@ss', tls: true, address: 'a:1' },
  ],
  ['redis://:secret@[::1]:7', { password: 'secret', nodes: [{ host: '::1', port: 7 }] }],
  ['redis+cluster://a:1,b:2', { kind: 'cluster', nodes: [a, b] }],
  ['redis+cluster://a:1', { kind: 'cluster', nodes: [a] }],
  ['redis://a:1,b:2', { kind: 'cluster', nodes: [a, b] }],
  ['redis://u:p@a:1,redis://u:p@b:2', { kind: 'cluster', nodes: [a, b], password: 'p', address: 'a:1,b:2' }],
  ['redis+sentinel://a:1,b:2/main/5', { kind: 'sentinel', nodes: [a, b], master: 'main', db: 5 }],
  ['redis+sentinel://:p@a/main?sentinel_password=q', { password: 'p', sentinelPassword: 'q' }],
  ['unix:///run/redis.sock', { kind: 'path', path: '/run/redis.sock' }],
])('reads %s', (url, target) => {
  expect(parseRedisUrl(url)).toMatchObject(target);
});

it.each([
  'http://secret@a:1',
  'redis://:secret@a:99999999',
  'redis://:secret@a:0',
  'redis://:secret@a:1/x',
  'redis+cluster://:secret@a:1/3',
  'redis+sentinel://:secret@a:1',
  'redis://:%zzsecret@a',
  '',
])('refuses %s without telling the secret', (url) => {
  const refuse = () => connect(url);
  expect(refuse).toThrow(RedisUrlError);
  expect(refuse).not.toThrow(/secret/);
});

it('names the keys of a stream', () => {
  const redis = connect('redis://127.0.0.1:1');
  const keys = keysOf(redis, 'firehose_live');
  expect({ ...keys, cursor: keys.cursor('relay.example') }).toMatchObject({
    stream: 'firehose_live',
    urgent: 'firehose_live:urgent',
    dead: 'firehose_live:dead',
    cursor: 'firehose_live:cursor:relay.example',
  });
  expect(keysOf(redis, keys.urgent)).toMatchObject({
    stream: keys.urgent,
    dead: keys.dead,
    urgent: keys.urgent,
  });
  const cluster = connect('redis+cluster://127.0.0.1:1');
  const tagged = keysOf(cluster, 'firehose_live');
  expect({ ...tagged, cursor: tagged.cursor('relay.example') }).toMatchObject({
    stream: 'firehose_live',
    urgent: '{firehose_live}:urgent',
    later: '{firehose_live}:later',
    cursor: '{firehose_live}:cursor:relay.example',
  });
  expect(keysOf(cluster, 'firehose_live:urgent')).toMatchObject({ stream: tagged.urgent, dead: tagged.dead });
  expect(keysOf(cluster, tagged.urgent)).toMatchObject({
    stream: tagged.urgent,
    later: '{firehose_live}:urgent:later',
  });
});

it('says what is wrong, never the password', async () => {
  await using server = await startRedis({ args: ['--requirepass', 'right'] });
  const messages: string[] = [];
  const note = (data: object, message: string) => messages.push(JSON.stringify(data) + message);
  const log: Log = { debug: note, info: note, warn: note, error: note };
  const wrong = connect(server.url.replace('://', '://:mistaken@'), { log });
  await expect(checkRedis(wrong, 500)).rejects.toThrow(`Redis at 127.0.0.1:${server.port}`);
  await expect(checkRedis(wrong, 500)).rejects.toThrow('WRONGPASS');
  const gone = await startRedis();
  await gone.stop();
  const nowhere = connect(gone.url.replace('://', '://:mistaken@'), { log });
  await expect(checkRedis(nowhere, 300)).rejects.toThrow(onCluster ? 'no node' : 'ECONNREFUSED');
  expect(messages.join()).not.toContain('mistaken');
  expect(messages.filter((message) => message.includes('out of reach'))).toHaveLength(2);
  for (const redis of [wrong, nowhere]) redis.disconnect();
  const right = connect(server.url.replace('://', '://:right@'));
  await checkRedis(right);
  right.disconnect();
});

it('waits for a Redis that comes back, and says so once', async () => {
  await using server = await startRedis();
  const messages: string[] = [];
  const note = (_: object, message: string) => messages.push(message);
  const redis = connect(server.url, { log: { debug: note, info: note, warn: note, error: note } });
  await redis.set('a', '1');
  await server.kill();
  const answer = redis.set('a', '2');
  await until(() => messages.length > 0);
  await server.restart();
  expect(await answer).toBe('OK');
  expect(messages).toEqual(['Redis is out of reach; trying again', 'Redis is back']);
  redis.disconnect();
});
