import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { keysOf } from './keys.ts';
import { lagOf } from './lag.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, newStream, numbers, range, sorted, until, useStreams } from './testing.ts';

const { used, filled, quiet } = useStreams();

it('keeps the limits of items, and never has two of one key at once', async () => {
  const stream = await filled(2000);
  const running = new Set<number>();
  let most = 0;
  const together = Promise.withResolvers<void>();
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: (n) => String(n % 8),
    lanes: 4,
    batchItems: 60,
    count: () => 2,
    write: async (batch) => {
      const keys = new Set(batch.map(({ item }) => item % 8));
      for (const key of keys) expect(running.has(key)).toBe(false);
      for (const key of keys) running.add(key);
      most = Math.max(most, running.size);
      // Lanes meet here, so that each write lies beside others.
      if (running.size > 2) together.resolve();
      await together.promise;
      await setImmediate();
      for (const key of keys) running.delete(key);
    },
  });
  await until(quiet(stream));
  expect(sorted(consumer.written)).toEqual(range(2000));
  expect(Math.max(...consumer.batches.map((batch) => batch.length))).toBe(30);
  expect(most).toBeGreaterThan(2);
});

it('keeps the limit of bytes, and takes what is larger alone', async () => {
  const stream = await filled(20);
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: () => 'same',
    size: (n) => (n === 7 ? 5000 : 100),
    batchBytes: 500,
  });
  await until(quiet(stream));
  expect(sorted(consumer.written)).toEqual(range(20));
  expect(consumer.batches).toContainEqual([7]);
  expect(Math.max(...consumer.batches.map((batch) => batch.length))).toBe(5);
});

it('reads no more than fits in hand', async () => {
  const stream = await filled(500);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: String,
    maxEntries: 50,
    write: () => held,
  });
  await until(async () => (await lagOf(used.redis, stream, 'group')).pending === 50);
  expect(await lagOf(used.redis, stream, 'group')).toMatchObject({ length: 500, lag: 450, pending: 50 });
  release();
  await until(quiet(stream));
  expect(consumer.written).toHaveLength(500);
});

it('lets workers pull when there is no key', async () => {
  const stream = await filled(100);
  let running = 0;
  let most = 0;
  const [held, all] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    concurrency: 10,
    write: async ([entry]) => {
      most = Math.max(most, ++running);
      // One long job holds back nobody else.
      if (running === 10) all.resolve();
      await (entry!.item === 0 ? held : all).promise;
      running--;
    },
  });
  await until(() => consumer.written.length >= 99);
  expect(consumer.written).not.toContain(0);
  held.resolve();
  await until(quiet(stream));
  expect(most).toBe(10);
  expect(consumer.batches.every((batch) => batch.length === 1)).toBe(true);
});

it('reads the more urgent stream first', async () => {
  const stream = newStream();
  const { urgent } = keysOf(used.redis, stream);
  await new Producer(used.redis, stream).append(numbers(0, 50));
  await new Producer(used.redis, urgent).append(numbers(100, 110));
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream: [urgent, stream],
    concurrency: 1,
  });
  await until(() => consumer.written.length === 60);
  expect(consumer.written).toEqual([...numbers(100, 110), ...numbers(0, 50)].map(({ n }) => Number(n)));
  await new Producer(used.redis, urgent).append(numbers(200, 201));
  await until(() => consumer.written.length === 61);
});
