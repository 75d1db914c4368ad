import { expect, it } from 'vitest';
import { consume } from './consume.ts';
import { keysOf } from './keys.ts';
import { lagOf } from './lag.ts';
import { consumeNumbers, newStream, range, sorted, until, useStreams } from './testing.ts';

const { used, filled, quiet } = useStreams();

it('finishes what is being written and hands the rest back at once', async () => {
  const stream = await filled(100);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = {
    redis: used.redis,
    stream,
    key: () => 'same',
    batchItems: 10,
    maxEntries: 60,
    claimIdleMs: 60_000,
  };
  const first = consumeNumbers({ ...slow, consumer: 'first', write: () => held });
  await until(async () => (await lagOf(used.redis, stream, 'group')).pending === 60);
  const stopped = first.stop();
  await using second = consumeNumbers({ ...slow, consumer: 'second' });
  release();
  await stopped;
  expect(first.written).toEqual(range(10));
  const started = Date.now();
  await until(quiet(stream));
  expect(Date.now() - started).toBeLessThan(3000);
  expect(sorted([...first.written, ...second.written])).toEqual(range(100));
});

it('gives up writes that outlive the deadline, and hands them back', async () => {
  const stream = await filled(5);
  let told = false;
  const first = consumeNumbers({
    redis: used.redis,
    stream,
    concurrency: 5,
    drainMs: 50,
    claimIdleMs: 60_000,
    write: (_, signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          told = true;
          reject(signal.reason);
        });
      }),
  });
  await until(() => first.batches.length === 5);
  await first.stop();
  expect(told).toBe(true);
  await using second = consumeNumbers({
    redis: used.redis,
    stream,
    consumer: 'second',
    claimIdleMs: 60_000,
  });
  await until(quiet(stream));
  expect(sorted(second.written)).toEqual(range(5));
  expect(await used.redis.exists(keysOf(used.redis, stream).attempts)).toBe(0);
});

it('leaves the group when nothing is left, and stops twice safely', async () => {
  const stream = await filled(5);
  const consumer = consumeNumbers({ redis: used.redis, stream });
  await until(quiet(stream));
  await Promise.all([consumer.stop(), consumer.stop()]);
  expect(await used.redis.xinfo('CONSUMERS', stream, 'group')).toEqual([]);
});

it('does nothing with a signal that has aborted already', async () => {
  const stream = newStream();
  const never = () => Promise.reject(new Error('written'));
  await consume({
    redis: used.redis,
    stream,
    group: 'group',
    consumer: 'one',
    decode: String,
    write: never,
    signal: AbortSignal.abort(),
  });
  await expect(
    consume({
      redis: used.redis,
      stream: [],
      group: 'g',
      consumer: 'c',
      decode: String,
      write: never,
      signal: AbortSignal.abort(),
    }),
  ).rejects.toBeInstanceOf(RangeError);
});
