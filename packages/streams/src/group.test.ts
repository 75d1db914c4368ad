import { expect, it } from 'vitest';
import { useRedis } from '../../../test/support/index.ts';
import { empty } from '../../../test/support/redis.ts';
import { ofEachMaster } from './connect.ts';
import { dead } from './dead.ts';
import { keysOf } from './keys.ts';
import { lagOf } from './lag.ts';
import { noMetrics } from './metrics.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, isQuiet, newStream, numbers, range, sorted, until } from './testing.ts';

const used = useRedis();
const lag = (stream: string, group = 'group') => lagOf(used.redis, stream, group);

it('keeps what another group has not done with, and trims what all have', async () => {
  const stream = newStream();
  const producer = new Producer(used.redis, stream);
  await producer.append(numbers(0, 100));
  await used.redis.xgroup('CREATE', stream, 'slow', '0');
  await using first = consumeNumbers({ redis: used.redis, stream, key: String });
  await until(() => first.written.length === 100);
  await until(async () => (await lag(stream)).pending === 0);
  expect((await lag(stream)).length).toBe(100);
  expect((await lag(stream, 'slow')).lag).toBe(100);

  // The slow group has 10 in hand; it ends all of them but the fourth.
  const answer = await used.redis.call(
    'XREADGROUP',
    'GROUP',
    'slow',
    'x',
    'COUNT',
    10,
    'STREAMS',
    stream,
    '>',
  );
  const ids = (answer as [string, [string][]][])[0]![1].map(([id]) => id);
  await used.redis.xack(stream, 'slow', ...ids.filter((_, i) => i !== 3));
  await until(async () => (await lag(stream)).length === 97);
  expect((await used.redis.xrange(stream, '-', '+', 'COUNT', 1))[0]![0]).toBe(ids[3]);
  await used.redis.xack(stream, 'slow', ids[3]!);
  await using second = consumeNumbers({
    redis: used.redis,
    stream,
    group: 'slow',
    consumer: 'y',
    key: String,
  });
  await producer.append(numbers(100, 150));
  await until(() => second.written.length === 140 && first.written.length === 150);
  await until(async () => (await lag(stream)).length === 0);
  expect(sorted(second.written)).toEqual(sorted(numbers(10, 150).map(({ n }) => Number(n))));
  expect(sorted(first.written)).toEqual(range(150));
});

it('gives every group its dead letter and its own tries', async () => {
  const stream = newStream();
  await new Producer(used.redis, stream).append(numbers(0, 3));
  await used.redis.xgroup('CREATE', stream, 'other', '0');
  const write = async () => {
    throw new Error('no');
  };
  const options = { redis: used.redis, stream, maxAttempts: 2, write };
  await using _one = consumeNumbers(options);
  await using _two = consumeNumbers({ ...options, group: 'other' });
  await until(async () => (await used.redis.xlen(keysOf(used.redis, stream).dead)) === 6);
  const { letters } = await dead.list(used.redis, stream);
  expect(letters.map(({ group, attempts }) => `${group} ${attempts}`).sort()).toEqual([
    ...Array(3).fill('group 2'),
    ...Array(3).fill('other 2'),
  ]);
});

it('mends a missing group, also after FLUSHALL while it reads', async () => {
  const stream = newStream();
  const lost: string[] = [];
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: String,
    log: { debug() {}, info() {}, warn: (_, message) => lost.push(message), error() {} },
  });
  await until(async () => (await lag(stream)).exists);
  await used.redis.xadd(stream, '*', 'n', '0');
  await until(() => consumer.written.length === 1);
  for (const round of [1, 2, 3]) {
    await empty(used.redis);
    if (round === 2) await ofEachMaster(used.redis, (node) => node.script('FLUSH'));
    // What is written before the group is there again is read as well.
    await used.redis.xadd(stream, '*', 'n', String(round));
    await until(() => consumer.written.includes(round));
  }
  await used.redis.xgroup('DESTROY', stream, 'group');
  await used.redis.xadd(stream, '*', 'n', '4');
  await until(() => consumer.written.includes(4));
  expect(lost).toEqual([]);
});

it('gets over pending entries that somebody deleted', async () => {
  const stream = newStream();
  const ids = await new Producer(used.redis, stream).append(numbers(0, 10));
  await used.redis.xgroup('CREATE', stream, 'group', '0');
  for (const name of ['one', 'gone']) {
    await used.redis.call('XREADGROUP', 'GROUP', 'group', name, 'COUNT', 5, 'STREAMS', stream, '>');
  }
  await used.redis.hset(
    keysOf(used.redis, stream).attempts,
    `group/${ids[2]}`,
    '1 1 -',
    `group/${ids[7]}`,
    '1 1 -',
  );
  await used.redis.xdel(stream, ids[2]!, ids[7]!);
  await using consumer = consumeNumbers({ redis: used.redis, stream, claimIdleMs: 50 });
  await until(() => isQuiet(used.redis, stream));
  expect(sorted(consumer.written)).toEqual([0, 1, 3, 4, 5, 6, 8, 9]);
  expect(await used.redis.exists(keysOf(used.redis, stream).attempts)).toBe(0);
});

it('leaves alone what another consumer has taken over meanwhile', async () => {
  const stream = newStream();
  const ids = await new Producer(used.redis, stream).append(numbers(0, 20));
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const lost: number[] = [];
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    key: () => 'same',
    batchItems: 10,
    metrics: { ...noMetrics, ended: (_, ending, __, n) => ending === 'lost' && lost.push(n) },
    write: () => held,
  });
  await until(async () => (await lag(stream)).pending === 20);
  // As if this process had been frozen: the queued half is claimed, and one of it is done.
  await used.redis.call('XCLAIM', stream, 'group', 'thief', 0, ...ids.slice(10), 'JUSTID');
  await used.redis.xack(stream, 'group', ids[10]!);
  await used.redis.xdel(stream, ids[10]!);
  await until(() => lost.length > 0);
  const others = await used.redis.xpending(stream, 'group', '-', '+', 20, 'thief');
  expect(others).toHaveLength(9);
  release();
  await until(() => isQuiet(used.redis, stream));
  expect(lost).toEqual([10]);
  expect(sorted(consumer.written)).toEqual(range(20).filter((n) => n !== 10));
});

it('removes consumers that are gone, never one that holds something', async () => {
  const stream = newStream();
  await new Producer(used.redis, stream).append(numbers(0, 1));
  await used.redis.xgroup('CREATE', stream, 'group', '0');
  await used.redis.call('XREADGROUP', 'GROUP', 'group', 'busy', 'STREAMS', stream, '>');
  await used.redis.xgroup('CREATECONSUMER', stream, 'group', 'empty');
  const names = async () =>
    ((await used.redis.xinfo('CONSUMERS', stream, 'group')) as string[][]).map((of) => of[1]).sort();
  await until(async () => (await names()).length === 2);
  // Idle for longer than is allowed it.
  await until(async () => {
    const consumers = (await used.redis.xinfo('CONSUMERS', stream, 'group')) as (string | number)[][];
    const empty = consumers.find((of) => of[1] === 'empty')!;
    return Number(empty[empty.indexOf('idle') + 1]) > 1;
  });
  await using _ = consumeNumbers({ redis: used.redis, stream, claimIdleMs: 600_000, forgetConsumerMs: 1 });
  await until(async () => !(await names()).includes('empty'));
  expect(await names()).toContain('busy');
});
