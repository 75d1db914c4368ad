import { afterAll, beforeAll, expect, it } from 'vitest';
import { startRedisCluster, type TestCluster } from '../../../test/support/redis-cluster.ts';
import { checkRedis, connect, type Redis } from './connect.ts';
import { consume } from './consume.ts';
import { dead } from './dead.ts';
import { keysOf, readCursor } from './keys.ts';
import { lagOf } from './lag.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, numbers, produceNumbers, range, until } from './testing.ts';

let cluster: TestCluster;
let redis: Redis;

beforeAll(async () => {
  cluster = await startRedisCluster({ replicas: true });
  redis = connect(cluster.url);
});

afterAll(async () => {
  redis?.disconnect();
  await cluster?.stop();
});

it('appends, consumes, parks, buries and requeues on a cluster', async () => {
  await checkRedis(redis);
  // On three slots, of three nodes.
  for (const stream of ['firehose_live', 'repo_backfill', 'label_live']) {
    const keys = keysOf(redis, stream);
    const parked = new Set<number>();
    await using consumer = consumeNumbers({
      redis,
      stream: [keys.urgent, stream],
      maxAttempts: 2,
      retryMs: { base: 5, max: 5 },
      write: async ([entry]) => {
        if (entry!.item === 1) throw new Error('no');
        if (entry!.item !== 2 || parked.has(2)) return [];
        parked.add(2);
        return [{ entry: entry!, outcome: 'later', reason: 'x', afterMs: 10 }];
      },
    });
    const cursor = { host: 'relay', value: '100' };
    await new Producer(redis, stream, { highWaterMark: 50 }).append(numbers(0, 100), { cursor });
    await new Producer(redis, `${stream}:urgent`).append(numbers(100, 110));
    await until(() => new Set(consumer.written).size === 109);
    expect(await readCursor(redis, stream, 'relay')).toBe('100');
    await until(async () => (await dead.list(redis, stream)).letters.length === 1);
    const { letters } = await dead.list(redis, stream);
    expect(letters).toMatchObject([{ fields: { n: '1' }, attempts: 2, source: stream }]);
    expect(await dead.requeue(redis, stream, [letters[0]!.id])).toBe(1);
    await until(async () => (await dead.list(redis, stream)).letters.length === 1);
    expect(await lagOf(redis, stream, 'group')).toMatchObject({ length: 0, lag: 0, pending: 0, dead: 1 });
  }
});

it('refuses to read streams of different slots at once', async () => {
  const options = {
    redis,
    group: 'g',
    consumer: 'c',
    decode: String,
    write: async () => {},
    signal: AbortSignal.abort(),
  };
  await expect(consume({ ...options, stream: ['a', 'b'] })).rejects.toBeInstanceOf(RangeError);
});

it('goes on after the death of a node', async () => {
  const [stream, total] = ['failover', 4000];
  const producer = new Producer(redis, stream, { highWaterMark: 300 });
  await using consumer = consumeNumbers({ redis, stream, key: String, batchItems: 20 });
  const produce = produceNumbers(producer, redis, total);
  await until(() => consumer.written.length > total / 4);
  await (await cluster.masterOf(stream)).kill();
  await produce;
  await until(() => new Set(consumer.written).size === total, { ms: 15_000 });
  expect([...new Set(consumer.written)].sort((a, b) => a - b)).toEqual(range(total));
}, 30_000);
