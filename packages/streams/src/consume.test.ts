import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startRedis, type TestRedis } from '../../../test/support/index.ts';
import { connect, type Redis } from './connect.ts';
import { consume } from './consume.ts';
import { Producer } from './producer.ts';

let server: TestRedis;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = connect(server.url);
});
afterAll(async () => {
  redis.disconnect();
  await server.stop();
});

it('writes everything once', async () => {
  const producer = new Producer(redis, 's');
  const ids = await producer.append(
    Array.from({ length: 1000 }, (_, n) => ({ n: String(n) })),
    { cursor: { host: 'h', value: '7' } },
  );
  expect(ids).toHaveLength(1000);
  const stop = new AbortController();
  const seen: number[] = [];
  const done = consume({
    redis,
    stream: 's',
    group: 'g',
    consumer: 'c',
    decode: (fields) => Number(fields['n']),
    key: String,
    write: async (batch) => {
      seen.push(...batch.map((e) => e.item));
    },
    signal: stop.signal,
  });
  await vi.waitUntil(() => seen.length >= 1000, 5000);
  stop.abort();
  await done;
  expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
  expect(await redis.xlen('s')).toBe(0);
  expect(await redis.get('s:cursor:h')).toBe('7');
});
