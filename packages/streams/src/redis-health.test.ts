import { Metrics } from '@headwater/ops';
import { expect, it } from 'vitest';
import { startRedis } from '../../../test/support/index.ts';
import { connect } from './connect.ts';
import { parseInfo, redisMetrics } from './redis-health.ts';

it('reads what INFO says', () => {
  const info = 'used_memory:100\r\nmaxmemory:400\r\naof_enabled:1\r\naof_last_write_status:ok\r\n';
  expect(parseInfo(info)).toEqual({ usedBytes: 100, maxBytes: 400, durable: true });
  expect(parseInfo(info.replace('status:ok', 'status:err')).durable).toBe(false);
  expect(parseInfo(info.replace('enabled:1', 'enabled:0')).durable).toBe(false);
});

it('shows the memory of a running Redis, and nothing once it is gone', async () => {
  await using server = await startRedis({ maxMemory: 104_857_600, aof: true });
  const redis = connect(server.url);
  try {
    const metrics = new Metrics('test');
    redisMetrics(metrics, redis);
    const seen = await metrics.registry.metrics();
    expect(seen).toMatch(/headwater_redis_memory_max_bytes\{service="test"\} 104857600/);
    expect(seen).toMatch(/headwater_redis_memory_used_bytes\{service="test"\} [1-9]/);
    expect(seen).toMatch(/headwater_redis_durable\{service="test"\} 1/);
    const away = new Metrics('test');
    redis.disconnect();
    redisMetrics(away, redis);
    expect(await away.registry.metrics()).not.toMatch(/^headwater_redis_\w+\{/m);
  } finally {
    redis.disconnect();
  }
});
