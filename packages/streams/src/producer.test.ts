import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { useRedis } from '../../../test/support/index.ts';
import { startRedis, startSingleRedis } from '../../../test/support/redis.ts';
import { connect, ofEachMaster, type Redis } from './connect.ts';
import { FencedError, RewoundError } from './errors.ts';
import { keysOf, readCursor } from './keys.ts';
import { noMetrics, type Pressure } from './metrics.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, newStream, numbers, range, until } from './testing.ts';

const used = useRedis();

it('gives the ids of the entries, in order', async () => {
  const stream = newStream();
  const ids = await new Producer(used.redis, stream).append(numbers(0, 50));
  expect((await used.redis.xrange(stream, '-', '+')).map(([id]) => id)).toEqual(ids);
});

it('writes appends that meet in one step, each with its own ids, in the order of the calls', async () => {
  const stream = newStream();
  const steps: number[] = [];
  const metrics = { ...noMetrics, appended: (_: string, entries: number) => steps.push(entries) };
  const producer = new Producer(used.redis, stream, { metrics });
  const cursor = { host: 'a', value: '1' };
  const stop = new AbortController();
  const ids = await Promise.all([
    producer.append(numbers(0, 3)),
    producer.append(numbers(3, 4)),
    producer.append(numbers(4, 6), { cursor }),
    producer.append(numbers(6, 7)),
    producer.append([]),
    producer.append(numbers(7, 9)),
    producer.append(numbers(9, 10), { signal: stop.signal }),
  ]);
  expect(steps).toEqual([4, 2, 3, 1]);
  expect(ids.map((some) => some.length)).toEqual([3, 1, 2, 1, 0, 2, 1]);
  const entries = await used.redis.xrange(stream, '-', '+');
  expect(entries.map(([id]) => id)).toEqual(ids.flat());
  expect(entries.map(([, fields]) => Number(fields[1]))).toEqual(range(10));
});

it('never exceeds its mark and one batch, loses and doubles nothing', async () => {
  const [stream, mark, size, total] = [newStream(), 1000, 500, 100_000];
  const producers = range(2).map(() => new Producer(used.redis, stream, { highWaterMark: mark }));
  let longest = 0;
  await using consumer = consumeNumbers({
    redis: used.redis,
    stream,
    lanes: 2,
    key: String,
    batchItems: 400,
    write: async () => {
      longest = Math.max(longest, await used.redis.xlen(stream));
      await setImmediate();
    },
  });
  const half = total / 2;
  const produce = async (producer: Producer, from: number) => {
    for (let at = from; at < from + half; at += size) await producer.append(numbers(at, at + size));
  };
  await Promise.all(producers.map((producer, i) => produce(producer, i * half)));
  await until(async () => consumer.written.length >= total && (await used.redis.xlen(stream)) === 0);
  expect(consumer.written.sort((a, b) => a - b)).toEqual(range(total));
  expect(longest).toBeLessThan(mark + size);
  expect(longest).toBeGreaterThan(mark / 2);
}, 60_000);

it('writes cursor and further keys with the entries, and only then', async () => {
  const stream = newStream();
  const producer = new Producer(used.redis, stream, { highWaterMark: 10 });
  const { cursor, later, beside } = keysOf(used.redis, stream);
  const [count, hash] = [beside('count', 'a'), beside('hash', 'a')];
  await producer.append(numbers(0, 10), { cursor: { host: 'a', value: '1' } });
  const stop = new AbortController();
  const waiting = producer.append(numbers(10, 12), {
    cursor: { host: 'a', value: '2' },
    extra: (step) => step.set(count, 12).hset(hash, 'field', 1),
    signal: stop.signal,
  });
  await until(async () => (await used.redis.exists(later)) === 0);
  expect(await readCursor(used.redis, stream, 'a')).toBe('1');
  await used.redis.xtrim(stream, 'MAXLEN', 5);
  await waiting;
  expect(await used.redis.get(cursor('a'))).toBe('2');
  expect(await used.redis.mget(count)).toEqual(['12']);
  expect(await used.redis.hgetall(hash)).toEqual({ field: '1' });
  expect(await used.redis.xlen(stream)).toBe(7);
});

it('writes neither entries nor cursor once its guard is another one', async () => {
  const stream = newStream();
  const producer = new Producer(used.redis, stream, { highWaterMark: 2 });
  const guard = { key: keysOf(used.redis, stream).beside('lease', 'a'), value: 'token' };
  const cursor = (value: string) => ({ host: 'a', value });
  await used.redis.set(guard.key, guard.value);
  await producer.append(numbers(0, 2), { guard, cursor: cursor('1') });
  const late = producer.append(numbers(2, 3), { guard, cursor: cursor('2') });
  await used.redis.set(guard.key, 'of another');
  await used.redis.xtrim(stream, 'MAXLEN', 0);
  await expect(late).rejects.toMatchObject({ name: 'FencedError', key: guard.key });
  await used.redis.del(guard.key);
  await expect(producer.append([], { guard, cursor: cursor('3') })).rejects.toThrow(FencedError);
  expect(await readCursor(used.redis, stream, 'a')).toBe('1');
  expect(await used.redis.xlen(stream)).toBe(0);
  await producer.append(numbers(3, 4));
  expect(await used.redis.xlen(stream)).toBe(1);
});

it('stops waiting when the signal aborts, and writes nothing', async () => {
  const stream = newStream();
  let waits = 0;
  const metrics = { ...noMetrics, pressed: (_: string, pressure?: Pressure) => void (pressure && waits++) };
  const producer = new Producer(used.redis, stream, { highWaterMark: 1, metrics });
  await producer.append(numbers(0, 1));
  const stop = new AbortController();
  const waiting = producer.append(numbers(1, 2));
  const behind = producer.append(numbers(2, 3), { signal: stop.signal });
  stop.abort();
  await expect(behind).rejects.toMatchObject({ name: 'AbortError' });
  await used.redis.xtrim(stream, 'MAXLEN', 0);
  await waiting;
  const stopToo = new AbortController();
  const before = waits;
  const full = producer.append(numbers(3, 4), { signal: stopToo.signal });
  await until(() => waits > before);
  stopToo.abort();
  await expect(full).rejects.toMatchObject({ name: 'AbortError' });
  await used.redis.xtrim(stream, 'MAXLEN', 0);
  await producer.append(numbers(4, 5));
  expect(await used.redis.xrange(stream, '-', '+')).toMatchObject([[expect.anything(), ['n', '4']]]);
});

it('waits above its mark in bytes', async () => {
  const stream = newStream();
  const seen: (Pressure | undefined)[] = [];
  const producer = new Producer(used.redis, stream, {
    highWaterBytes: 2 ** 20,
    metrics: { ...noMetrics, pressed: (_, pressure) => seen.push(pressure) },
  });
  const big = { n: '1', text: 'x'.repeat(50_000) };
  const stop = new AbortController();
  let appended = 0;
  const filling = (async () => {
    for (;;) {
      await producer.append([big], { signal: stop.signal });
      appended++;
    }
  })().catch(() => {});
  await until(() => seen.includes('bytes'));
  expect(appended * 50_000).toBeGreaterThan(0.9 * 2 ** 20);
  expect(appended * 50_000).toBeLessThan(2 ** 20 + 50_000);
  const before = appended;
  await used.redis.xtrim(stream, 'MAXLEN', 10);
  await until(() => appended > before + 5);
  stop.abort();
  await filling;
});

it('takes a full Redis for backpressure', async () => {
  await using server = await startRedis({ maxMemory: 8 * 2 ** 20 });
  const redis = connect(server.url);
  const seen: (Pressure | undefined)[] = [];
  const metrics = { ...noMetrics, pressed: (_: string, pressure?: Pressure) => seen.push(pressure) };
  const big = { n: '1', text: 'x'.repeat(100_000) };
  // One that looks at the memory, one that runs into the limit.
  for (const memoryShare of [0.7, 2]) {
    seen.length = 0;
    const producer = new Producer(redis, 'stream', { memoryShare, metrics });
    const stop = new AbortController();
    let appended = 0;
    const filling = (async () => {
      for (;;) {
        await producer.append([big], { signal: stop.signal });
        appended++;
      }
    })().catch(() => {});
    await until(() => seen.includes('memory'));
    const used = await usedMemory(redis);
    expect(used / (8 * 2 ** 20)).toBeGreaterThan(memoryShare === 0.7 ? 0.65 : 0.95);
    expect(used / (8 * 2 ** 20)).toBeLessThan(memoryShare === 0.7 ? 0.75 : 1.1);
    const before = appended;
    // A consumer can empty a full Redis.
    const consumer = consumeNumbers({ redis, stream: 'stream' });
    await until(() => appended > before + 100);
    stop.abort();
    await filling;
    await consumer.stop();
    await redis.del('stream');
  }
  redis.disconnect();
});

it('writes a batch once when the connection breaks while it is on its way', async () => {
  await using server = await startSingleRedis();
  const proxy = await startProxy(server.port);
  const redis = connect(`redis://127.0.0.1:${proxy.port}`);
  const stream = newStream();
  const producer = new Producer(redis, stream);
  const ids = await producer.append(numbers(0, 10));
  for (let n = 10; n < 60; n += 10) {
    proxy.swallowNextAnswer();
    ids.push(...(await producer.append(numbers(n, n + 10))));
  }
  expect(proxy.swallowed()).toBe(5);
  const entries = await redis.xrange(stream, '-', '+');
  expect(entries.map(([, fields]) => Number(fields[1]))).toEqual(range(60));
  expect(entries.map(([id]) => id)).toEqual(ids);
  redis.disconnect();
  await proxy.close();
});

it('notices when Redis has lost what it had confirmed', async () => {
  await using server = await startRedis();
  const redis = connect(server.url);
  const producer = new Producer(redis, 'stream');
  const { generation } = producer;
  await producer.append(numbers(0, 10), { cursor: { host: 'a', value: '10' }, generation });
  await server.kill();
  await server.restart();
  const lost = producer.append(numbers(10, 20), { cursor: { host: 'a', value: '20' } });
  await expect(lost).rejects.toBeInstanceOf(RewoundError);
  expect(await readCursor(redis, 'stream', 'a')).toBeNull();
  // Other work that shares the producer learns of it too.
  await expect(producer.append(numbers(0, 1), { generation })).rejects.toBeInstanceOf(RewoundError);
  // The caller goes back to the cursor, and the producer goes on.
  await producer.append(numbers(0, 20), { cursor: { host: 'a', value: '20' } });
  expect(await redis.xlen('stream')).toBe(20);
  redis.disconnect();
});

it('throws what waiting cannot mend', async () => {
  await used.redis.set('text', '1');
  await expect(new Producer(used.redis, 'text').append(numbers(0, 1))).rejects.toThrow('WRONGTYPE');
});

/** In bytes; of a cluster the node that holds the most. */
async function usedMemory(redis: Redis): Promise<number> {
  const infos = await ofEachMaster(redis, (node) => node.info('memory'));
  return Math.max(...infos.map((info) => Number(/used_memory:(\d+)/.exec(info)![1])));
}

/** A proxy that can drop a connection after its request has arrived, before the answer is passed on. */
async function startProxy(port: number) {
  let swallow = false;
  let swallowed = 0;
  const server: Server = createServer((client: Socket) => {
    const upstream = createConnection({ port, host: '127.0.0.1' });
    for (const socket of [client, upstream]) socket.on('error', () => {});
    client.pipe(upstream);
    client.on('close', () => upstream.destroy());
    upstream.on('data', (data) => {
      if (!swallow) return client.write(data);
      swallow = false;
      swallowed++;
      client.destroy();
      return false;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    swallowNextAnswer: () => {
      swallow = true;
    },
    swallowed: () => swallowed,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
