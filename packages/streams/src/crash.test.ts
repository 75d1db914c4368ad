import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { useRedis } from '../../../test/support/index.ts';
import { dead } from './dead.ts';
import { keysOf, readCursor } from './keys.ts';
import { lagOf } from './lag.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, isQuiet, newStream, numbers, produceNumbers, range, until } from './testing.ts';
import { type ChildOptions, kindOf } from './testing-child.ts';

const used = useRedis({ aof: true, args: ['--appendfsync', 'always'] });
const children = new Set<ChildProcess>();

function start(options: Partial<ChildOptions> & { stream: string; consumer: string }): ChildProcess {
  const base = { url: used.server.url, seed: 0, mischief: 0, keyed: true, writeMs: 2, claimIdleMs: 200 };
  const script = join(import.meta.dirname, 'testing-child.ts');
  const child = spawn(process.execPath, [script, JSON.stringify({ ...base, ...options })], {
    stdio: 'inherit',
  });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

afterEach(async () => {
  await Promise.all([...children].map((child) => end(child, 'SIGKILL')));
});

async function written(stream: string): Promise<Map<number, number>> {
  const counts = await used.redis.hgetall(`${stream}:written`);
  return new Map(Object.entries(counts).map(([n, times]) => [Number(n), Number(times)]));
}

async function letters(stream: string): Promise<{ n: number; reason: string }[]> {
  const page = await dead.list(used.redis, stream, { count: 10_000 });
  return page.letters.map(({ fields, reason }) => ({ n: Number(fields['n']), reason }));
}

it('takes over what a killed consumer held', async () => {
  const stream = newStream();
  await new Producer(used.redis, stream).append(numbers(0, 200));
  const child = start({ stream, consumer: 'killed', keyed: false, writeMs: 60_000 });
  await until(async () => (await lagOf(used.redis, stream, 'group')).pending === 8);
  await end(child, 'SIGKILL');
  await using consumer = consumeNumbers({ redis: used.redis, stream, claimIdleMs: 200 });
  await until(() => isQuiet(used.redis, stream));
  expect(consumer.written.sort((a, b) => a - b)).toEqual(range(200));
});

it('does not take over what a consumer is still working on', async () => {
  const stream = newStream();
  await new Producer(used.redis, stream).append(numbers(0, 2));
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const slow = { redis: used.redis, stream, concurrency: 2, claimIdleMs: 150 };
  await using first = consumeNumbers({ ...slow, consumer: 'first', write: () => held });
  await until(() => first.batches.length === 2);
  await using second = consumeNumbers({ ...slow, consumer: 'second' });
  // Several looks of the second for idle entries go by.
  await until(async () => Number((await lagOf(used.redis, stream, 'group')).oldestPendingMs) > 1500);
  release();
  await until(() => isQuiet(used.redis, stream));
  expect(second.batches).toEqual([]);
});

it('isolates an entry that kills its writer', async () => {
  const stream = newStream();
  const ids = await new Producer(used.redis, stream).append(numbers(0, 60));
  // As if three processes had died with all of it in hand.
  await used.redis.xgroup('CREATE', stream, 'group', '0');
  await used.redis.call('XREADGROUP', 'GROUP', 'group', 'one', 'STREAMS', stream, '>');
  const died = ['RETRYCOUNT', 3, 'JUSTID'];
  await used.redis.call('XCLAIM', stream, 'group', 'one', 0, ...ids, ...died);
  let running = true;
  const keepRunning = async () => {
    while (running) await once(start({ stream, consumer: 'one', deadly: 17, maxAttempts: 2 }), 'exit');
  };
  const supervisor = keepRunning();
  await until(() => isQuiet(used.redis, stream), { ms: 20_000 });
  running = false;
  await Promise.all([...children].map((child) => end(child, 'SIGTERM')));
  await supervisor;
  expect(await letters(stream)).toEqual([{ n: 17, reason: 'deadly' }]);
  expect([...(await written(stream)).keys()].sort((a, b) => a - b)).toEqual(
    range(60).filter((n) => n !== 17),
  );
  expect(await used.redis.exists(keysOf(used.redis, stream).attempts)).toBe(0);
}, 60_000);

it('loses nothing acknowledged when Redis is killed and restarted in mid-stream', async () => {
  const [stream, total] = [newStream(), 6000];
  const producer = new Producer(used.redis, stream, { highWaterMark: 500 });
  await using consumer = consumeNumbers({ redis: used.redis, stream, key: String, batchItems: 50 });
  const produce = produceNumbers(producer, used.redis, total);
  for (const share of [0.2, 0.4, 0.6]) {
    await until(() => consumer.written.length > total * share);
    if (share !== 0.4) await used.server.kill();
    await used.server.restart();
  }
  await produce;
  await until(() => isQuiet(used.redis, stream));
  expect([...new Set(consumer.written)].sort((a, b) => a - b)).toEqual(range(total));
  expect(await readCursor(used.redis, stream, 'test')).toBe(String(total));
}, 60_000);

/** A generator of numbers in [0, 1) that a seed repeats (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Put the seed of a failure here to repeat it. */
const repeated: number[] = [];
const seeds = repeated.length > 0 ? repeated : [1, 2].map((i) => (Date.now() % 1e6) * 10 + i);

it.each(seeds)(
  'ends every entry, whoever fails or is killed (seed %i)',
  async (seed) => {
    const dice = random(seed);
    const pick = <T>(choices: T[]) => choices[Math.floor(dice() * choices.length)]!;
    const [stream, total, mischief] = [`seed${seed}`, 400 + Math.floor(dice() * 800), 0.05 + dice() * 0.25];
    const base = { stream, seed, mischief, keyed: dice() < 0.5, writeMs: 5 };
    const producer = new Producer(used.redis, stream, { highWaterMark: 50 + Math.floor(dice() * 300) });
    const produce = (async () => {
      for (let n = 0; n < total; ) {
        const size = 1 + Math.floor(dice() * 40);
        await producer.append(numbers(n, Math.min(n + size, total)));
        n += size;
      }
    })();
    const slots = [0, 1, 2].map((i) => ({ consumer: `c${i}`, child: start({ ...base, consumer: `c${i}` }) }));
    for (let kills = 3 + Math.floor(dice() * 4); kills > 0; kills--) {
      const goal = (await written(stream)).size + 1 + dice() * (total / 8);
      await until(async () => (await written(stream)).size >= goal || (await isQuiet(used.redis, stream)));
      const slot = pick(slots);
      const how = pick(['SIGKILL', 'SIGKILL', 'SIGTERM', 'redis'] as const);
      if (how === 'redis') await used.server.kill().then(() => used.server.restart());
      else {
        await end(slot.child, how);
        slot.child = start({ ...base, consumer: dice() < 0.5 ? slot.consumer : `${slot.consumer}x${kills}` });
      }
    }
    await produce;
    const show = () => `seed ${seed}`;
    await until(() => isQuiet(used.redis, stream), { ms: 20_000, show });
    await Promise.all(slots.map(({ child }) => end(child, 'SIGTERM')));

    const [counts, dying] = [await written(stream), await letters(stream)];
    const reasons = new Map(dying.map(({ n, reason }) => [n, reason]));
    const wrong = range(total).filter((n) => {
      switch (kindOf(n, seed, mischief)) {
        case 'poison':
          return reasons.get(n) !== 'Error' || counts.has(n);
        case 'undecodable':
          return reasons.get(n) !== 'SyntaxError' || counts.has(n);
        case 'dead':
          return reasons.get(n) !== 'test' || counts.has(n);
        case 'dropped':
          return reasons.has(n) || counts.has(n);
        default:
          return reasons.has(n) || !counts.has(n);
      }
    });
    expect(wrong, `seed ${seed}`).toEqual([]);
    expect(dying.length, `letters of seed ${seed} are single`).toBe(reasons.size);
    expect(await used.redis.hgetall(keysOf(used.redis, stream).attempts), `seed ${seed}`).toEqual({});
  },
  60_000,
);
