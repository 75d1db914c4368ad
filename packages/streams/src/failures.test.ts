import { TransientError } from '@headwater/ops';
import { expect, it } from 'vitest';
import { dead } from './dead.ts';
import type { Delivered } from './hand.ts';
import { keysOf } from './keys.ts';
import { lagOf } from './lag.ts';
import type { Burial, Verdict } from './options.ts';
import { consumeNumbers, range, sorted, until, useStreams } from './testing.ts';

const { used, filled, quiet } = useStreams();
const failOn =
  (bad: (n: number) => boolean, error: () => Error) => async (batch: readonly Delivered<number>[]) => {
    if (batch.some(({ item }) => bad(item))) throw error();
  };

it('halves a failing batch down to the poison, whose siblings are written', async () => {
  const stream = await filled(300);
  const buried: Burial[] = [];
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: () => 'same',
    batchItems: 100,
    batchMs: 50,
    maxAttempts: 3,
    write: failOn(
      (n) => n === 42,
      () => new RangeError('not 42'),
    ),
    onDead: (burial) => buried.push(burial),
  });
  await until(quiet(stream));
  expect(sorted(consumer.written)).toEqual(range(300).filter((n) => n !== 42));
  expect(consumer.batches.filter((batch) => batch.length === 1 && batch[0] === 42)).toHaveLength(3);
  expect(consumer.batches.length).toBeLessThan(30);
  expect(buried).toMatchObject([{ stream, reason: 'RangeError', attempts: 3 }]);
  const { letters } = await dead.list(used.redis, stream);
  expect(letters).toMatchObject([
    {
      fields: { n: '42' },
      reason: 'RangeError',
      error: 'RangeError: not 42',
      attempts: 3,
      source: stream,
      group: 'group',
    },
  ]);
  expect(letters[0]!.sourceId).toBe(buried[0]!.id);
  expect(letters[0]!.first < letters[0]!.last).toBe(true);
  expect(await used.redis.exists(keysOf(used.redis, stream).attempts)).toBe(0);
});

it('counts tries over restarts and consumers', async () => {
  const stream = await filled(3);
  const options = {
    redis: used.redis,
    stream,
    concurrency: 1,
    maxAttempts: 4,
    retryMs: { base: 60_000, max: 60_000 },
    parkAboveMs: Number.POSITIVE_INFINITY,
    write: failOn(
      (n) => n === 1,
      () => new Error('no'),
    ),
  };
  const attempts = () => used.redis.hvals(keysOf(used.redis, stream).attempts);
  for (const tries of [1, 2, 3]) {
    await using _ = consumeNumbers({ ...options, consumer: `c${tries}` });
    await until(async () => (await attempts())[0]?.startsWith(`${tries} `) ?? false);
  }
  expect(await used.redis.xlen(keysOf(used.redis, stream).dead)).toBe(0);
  await using _ = consumeNumbers(options);
  await until(quiet(stream));
  expect((await dead.list(used.redis, stream)).letters).toMatchObject([{ fields: { n: '1' }, attempts: 4 }]);
});

it('spends a long pause in Redis, where the count of tries is kept', async () => {
  const stream = await filled(5);
  const attempts: number[] = [];
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    concurrency: 1,
    maxAttempts: 3,
    // Long enough for the reader to have looked whether there are such entries.
    retryMs: { base: 2600, max: 2600 },
    parkAboveMs: 1000,
    write: async ([entry]) => {
      if (entry!.item !== 0) return;
      attempts.push(entry!.attempts);
      throw new Error('no');
    },
  });
  await until(quiet(stream));
  // The others did not wait for it, though there is room for one only.
  expect(consumer.batches.slice(0, 5)).toEqual([[0], [1], [2], [3], [4]]);
  expect(consumer.batches.slice(5)).toEqual([[0], [0]]);
  expect(attempts).toEqual([0, 1, 2]);
  expect((await dead.list(used.redis, stream)).letters).toMatchObject([{ fields: { n: '0' }, attempts: 3 }]);
  expect(await used.redis.exists(keysOf(used.redis, stream).attempts)).toBe(0);
});

it('repeats the same batch after a TransientError and counts nothing', async () => {
  const stream = await filled(10);
  let down = 8;
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: () => 'same',
    batchMs: 30,
    maxAttempts: 2,
    write: async () => {
      if (--down > 0) throw new TransientError('the database is away');
    },
  });
  await until(quiet(stream));
  expect(consumer.batches.map((batch) => batch.length)).toEqual(Array(8).fill(10));
  expect(await used.redis.exists(keysOf(used.redis, stream).dead, keysOf(used.redis, stream).attempts)).toBe(
    0,
  );
});

it('sends what cannot be decoded to the dead letters, under its reason', async () => {
  const stream = await filled(5);
  await used.redis.xadd(stream, '*', 'event', 'not json');
  await used.redis.xadd(stream, '*', 'n', '5');
  class BadEntry extends Error {
    override name = 'BadEntry';
    reason = 'not-json';
  }
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: () => 'same',
    decode: (fields) => {
      if (fields['n'] === undefined) throw new BadEntry('bad');
      return Number(fields['n']);
    },
  });
  await until(quiet(stream));
  expect(sorted(consumer.written)).toEqual(range(6));
  const { letters } = await dead.list(used.redis, stream);
  expect(letters).toMatchObject([{ fields: { event: 'not json' }, reason: 'not-json', attempts: 0 }]);
});

it('does as the verdicts say', async () => {
  const stream = await filled(10);
  const seen = new Map<number, number>();
  const outcome = new Map<number, (entry: Delivered<number>) => Verdict<number>>([
    [1, (entry) => ({ entry, outcome: 'dropped', reason: 'old' })],
    [2, (entry) => ({ entry, outcome: 'dead', reason: 'gone', error: new Error('410') })],
    [3, (entry) => ({ entry, outcome: 'later', reason: 'parked', afterMs: 600 })],
    [4, (entry) => ({ entry, outcome: 'failed', error: new Error('x'), afterMs: 1 })],
  ]);
  const endings: string[] = [];
  const { noMetrics } = await import('./metrics.ts');
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: () => 'same',
    batchMs: 30,
    metrics: { ...noMetrics, ended: (_, ending, reason, n) => endings.push(`${ending} ${reason} ${n}`) },
    write: async (batch) =>
      batch.flatMap((entry) => {
        const times = (seen.get(entry.item) ?? 0) + 1;
        seen.set(entry.item, times);
        const judge = outcome.get(entry.item);
        return judge && times === 1 ? [judge(entry)] : [];
      }),
  });
  await until(() => seen.get(4) === 2);
  await until(async () => (await lagOf(used.redis, stream, 'group')).length === 0);
  expect(await lagOf(used.redis, stream, 'group')).toMatchObject({ pending: 0, parked: 1, dead: 1 });
  expect(seen.get(3)).toBe(1);
  await until(quiet(stream));
  expect(seen.get(3)).toBe(2);
  expect(sorted(consumer.written)).toEqual([0, 3, 4, 5, 6, 7, 8, 9]);
  expect(endings).toEqual(
    expect.arrayContaining(['dropped old 1', 'dead gone 1', 'later parked 1', 'written  6']),
  );
});

it('takes a verdict on a foreign entry for a failure, never for written', async () => {
  const stream = await filled(1);
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    maxAttempts: 1,
    write: async ([entry]) => [{ entry: { ...entry! }, outcome: 'later', reason: 'x', afterMs: 1 }],
  });
  await until(async () => (await used.redis.xlen(keysOf(used.redis, stream).dead)) === 1);
  expect(consumer.batches).toHaveLength(1);
});

it('writes what consumers seem to die of alone, and gives it up in the end', async () => {
  const stream = await filled(4);
  const ids = (await used.redis.xrange(stream, '-', '+')).map(([id]) => id);
  await used.redis.xgroup('CREATE', stream, 'group', '0');
  // Five processes died with all four in hand; the last two of them while writing the first entry.
  await used.redis.call('XREADGROUP', 'GROUP', 'group', 'gone', 'STREAMS', stream, '>');
  await used.redis.call(
    'XCLAIM',
    stream,
    'group',
    'gone',
    0,
    ...ids,
    'RETRYCOUNT',
    5,
    'IDLE',
    100_000,
    'JUSTID',
  );
  await used.redis.hset(keysOf(used.redis, stream).attempts, `group/${ids[0]}/begun`, 5);
  await using consumer = consumeNumbers({ redis: used.redis, stream, key: () => 'same', batchMs: 30 });
  await until(quiet(stream));
  expect(consumer.batches).toEqual([[1], [2], [3]]);
  expect((await dead.list(used.redis, stream)).letters).toMatchObject([
    { fields: { n: '0' }, reason: 'deadly' },
  ]);
  expect(await used.redis.exists(keysOf(used.redis, stream).attempts)).toBe(0);
});
