import { EventEmitter, once } from 'node:events';
import { createLogger } from '@headwater/ops';
import { connect } from '@headwater/streams';
import { expect, it } from 'vitest';
import { useRedis } from '../../../test/support/index.ts';
import { until } from '../../../test/support/wait.ts';
import { LeaseLostError, underLease } from './lease.ts';

const log = createLogger('test', 'silent');
const used = useRedis();
let keys = 0;

const options = (key: string, signal: AbortSignal, ttlMs = 300) => ({
  redis: used.redis,
  key,
  ttlMs,
  signal,
  log,
});
const newKey = () => `lease:${keys++}`;

it('lets one copy run at a time, and the next take over at once', async () => {
  const key = newKey();
  const { signal } = new AbortController();
  const refused = new EventEmitter();
  let running = 0;
  let most = 0;
  const ran: number[] = [];
  const copy = (id: number) => {
    const onHeld = (held: boolean) => void (held || refused.emit(`${id}`));
    return underLease({ ...options(key, signal, 1000), onHeld }, async () => {
      most = Math.max(most, ++running);
      const others = [1, 2, 3].filter((other) => other !== id && !ran.includes(other));
      await Promise.all(others.map((other) => once(refused, `${other}`)));
      running--;
      ran.push(id);
    });
  };
  await Promise.all([1, 2, 3].map(copy));
  expect([most, ran.sort()]).toEqual([1, [1, 2, 3]]);
  expect(await used.redis.exists(key)).toBe(0);
});

it('holds on for longer than its ttl by renewing', async () => {
  const key = newKey();
  await underLease(options(key, new AbortController().signal, 600), async (signal) => {
    const first = await used.redis.pexpiretime(key);
    // Renewed to an end so late that this was done after the first one.
    await until('it is renewed', async () => (await used.redis.pexpiretime(key)) > first + 600);
    expect(signal.aborted).toBe(false);
  });
});

it('stops the task when another copy has the lease, and waits its turn', async () => {
  const key = newKey();
  const reasons: unknown[] = [];
  await underLease(options(key, new AbortController().signal), async (signal) => {
    if (reasons.length > 0) return;
    await used.redis.set(key, 'thief', 'PX', 100);
    await once(signal, 'abort');
    reasons.push(signal.reason);
    // Ends without an error, as a task does whose signal has aborted.
  });
  expect(reasons).toEqual([expect.any(LeaseLostError)]);
});

it('stops the task before the key can expire when Redis does not answer', async () => {
  const key = newKey();
  const stop = new AbortController();
  const other = connect(used.server.url);
  const left: number[] = [];
  await underLease({ ...options(key, stop.signal, 1500), redis: other }, async (signal) => {
    const expiry = await used.redis.pexpiretime(key);
    other.disconnect();
    await once(signal, 'abort');
    left.push(expiry - Date.now());
    stop.abort();
    signal.throwIfAborted();
  });
  expect(left[0]).toBeGreaterThan(0);
});

it('hands on what the task throws and gives the lease back', async () => {
  const key = newKey();
  const run = underLease(options(key, new AbortController().signal), () =>
    Promise.reject(new RangeError('x')),
  );
  await expect(run).rejects.toThrow(RangeError);
  expect(await used.redis.exists(key)).toBe(0);
});
