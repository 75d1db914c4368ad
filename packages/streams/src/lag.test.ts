import { Metrics } from '@headwater/ops';
import { expect, it } from 'vitest';
import { useRedis } from '../../../test/support/index.ts';
import { keysOf } from './keys.ts';
import { lagOf } from './lag.ts';
import { Producer } from './producer.ts';
import { lagMetrics, streamMetrics } from './prometheus.ts';
import { consumeNumbers, isQuiet, newStream, numbers, until } from './testing.ts';

const used = useRedis();
const lag = (stream: string) => lagOf(used.redis, stream, 'group');

it('looks at a stream that is not there, without a group, half read', async () => {
  const stream = newStream();
  expect(await lag(stream)).toMatchObject({
    length: 0,
    lag: 0,
    pending: 0,
    exists: false,
    oldestPendingMs: null,
  });
  await new Producer(used.redis, stream).append(numbers(0, 10));
  expect(await lag(stream)).toMatchObject({ length: 10, lag: 10, groups: 0, exists: false });
  await used.redis.xgroup('CREATE', stream, 'group', '0');
  await used.redis.call('XREADGROUP', 'GROUP', 'group', 'c', 'COUNT', 4, 'STREAMS', stream, '>');
  const look = await lag(stream);
  expect(look).toMatchObject({
    length: 10,
    lag: 6,
    pending: 4,
    groups: 1,
    consumers: 1,
    exists: true,
    parked: 0,
  });
  expect(look.oldestPendingMs).toBeGreaterThanOrEqual(0);
  expect(look.oldestPendingMs).toBeLessThan(5000);
  expect(look.bytes).toBeGreaterThan(100);
});

it('counts where Redis gives no lag, and says so where that is too much', async () => {
  const stream = newStream();
  const ids = await new Producer(used.redis, stream).append(numbers(0, 3000));
  await used.redis.xgroup('CREATE', stream, 'group', '0');
  await used.redis.call('XREADGROUP', 'GROUP', 'group', 'c', 'COUNT', 100, 'STREAMS', stream, '>');
  // A hole among the unread: Redis answers null now.
  await used.redis.xdel(stream, ids[2900]!);
  expect((await lag(stream)).lag).toBe('unknown');
  await used.redis.call('XREADGROUP', 'GROUP', 'group', 'c', 'COUNT', 2500, 'STREAMS', stream, '>');
  expect((await lag(stream)).lag).toBe(399);
});

it('is exact while entries are read, ended and deleted', async () => {
  const stream = newStream();
  const producer = new Producer(used.redis, stream);
  await producer.append(numbers(0, 500));
  const consumer = consumeNumbers({ redis: used.redis, stream, concurrency: 3 });
  await until(() => consumer.written.length > 100);
  await consumer.stop();
  const look = await lag(stream);
  expect(look.lag).toBe(look.length - look.pending);
  await using _ = consumeNumbers({ redis: used.redis, stream, key: String });
  await until(() => isQuiet(used.redis, stream));
  expect(await lag(stream)).toMatchObject({ length: 0, lag: 0, pending: 0, oldestPendingMs: null });
});

it('shows up in the metrics, every one of which moves', async () => {
  const [stream, metrics] = [newStream(), new Metrics('test')];
  const sink = streamMetrics(metrics);
  lagMetrics(metrics, used.redis, [{ stream, group: 'group' }]);
  const producer = new Producer(used.redis, stream, { metrics: sink, highWaterMark: 10 });
  await producer.append(numbers(0, 10));
  const waiting = producer.append(numbers(10, 20));
  await until(async () =>
    (await metrics.registry.metrics()).includes(`stream_backpressure{stream="${stream}",pressure="entries"`),
  );
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    metrics: sink,
    maxAttempts: 1,
    write: async ([entry]) => {
      if (entry!.item === 3) throw new Error('no');
    },
  });
  await waiting;
  await until(() => isQuiet(used.redis, stream));
  await until(async () => (await used.redis.xlen(keysOf(used.redis, stream).dead)) === 1);
  expect(consumer.written).toHaveLength(19);
  const text = await metrics.registry.metrics();
  const value = (name: string, labels: string) => {
    const wanted = [`stream="${stream}"`, ...labels.split(',').filter(Boolean)];
    const line = text
      .split('\n')
      .find((each) => each.startsWith(`headwater_${name}{`) && wanted.every((label) => each.includes(label)));
    return Number(line?.split(' ').at(-1));
  };
  expect(value('stream_appended_entries_total', '')).toBe(20);
  expect(value('stream_appended_bytes_total', '')).toBeGreaterThan(20);
  expect(value('stream_backpressure', ',pressure="entries"')).toBe(0);
  expect(value('stream_backpressure_seconds_total', ',pressure="entries"')).toBeGreaterThan(0);
  expect(value('stream_read_entries_total', ',from="new"')).toBe(20);
  expect(value('stream_read_bytes_total', '')).toBeGreaterThan(20);
  expect(value('stream_write_seconds_count', ',outcome="ok"')).toBe(19);
  expect(value('stream_write_seconds_count', ',outcome="failed"')).toBe(1);
  expect(value('stream_write_entries_count', '')).toBe(20);
  expect(value('stream_ended_entries_total', ',ending="written",reason=""')).toBe(19);
  expect(value('stream_ended_entries_total', ',ending="dead",reason="Error"')).toBe(1);
  expect(value('stream_in_hand_entries', '')).toBe(0);
  expect(value('stream_in_hand_bytes', '')).toBe(0);
  expect(value('stream_length_entries', ',group="group"')).toBeGreaterThanOrEqual(0);
  await until(async () =>
    (await metrics.registry.metrics()).includes(
      `stream_dead_entries{stream="${stream}",group="group",service="test"} 1`,
    ),
  );
});
