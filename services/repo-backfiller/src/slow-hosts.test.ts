import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { empty, keyOf } from '../../../test/support/redis.ts';
import { until } from '../../../test/support/wait.ts';
import { Slots } from './slots.ts';
import { type FakeAccount, type FakeServer, sendCar } from './testing/fake-network.ts';
import { useBackfiller } from './testing/suite.ts';

/** Hosts that keep us waiting: what they may take from the others. */
const used = useBackfiller();

const accountsOf = (host: FakeServer, count: number) =>
  Promise.all(Array.from({ length: count }, () => used.network.account(host, 1)));
const jobs = (accounts: FakeAccount[], host = 'relay') => accounts.map(({ did }) => ({ did, host }));

/** A byte now and then, the rest when it is told to. */
function trickle(res: ServerResponse, car: Uint8Array): () => void {
  let at = 0;
  const timer = setInterval(() => res.write(car.subarray(at, ++at)), 200);
  return () => {
    clearInterval(timer);
    res.end(car.subarray(at));
  };
}

it.each(['says nothing', 'sends a byte now and then'])(
  'a host that %s holds no place, and its repo is taken when it comes',
  async (how) => {
    const [slow, good] = [await used.network.host(), await used.network.host()];
    const [slows, goods] = [await accountsOf(slow, 2), await accountsOf(good, 10)];
    const rest: (() => void)[] = [];
    slow.instead = (_req, res, url) => {
      const { car } = used.network.accounts.get(url.searchParams.get('did')!)!;
      rest.push(how === 'says nothing' ? () => sendCar(res, car) : trickle(res, car));
    };
    await using harness = await used.start({
      env: { BACKFILLER_CONCURRENCY: '2', BACKFILLER_HOST_CONCURRENCY: '2' },
      tuning: { graceMs: 60_000 },
    });
    await harness.add(...jobs(slows));
    await until('both places are taken', () => rest.length === 2);
    await harness.add(...jobs(goods));
    await until('the good ones are sent', async () => (await harness.output()).length === 10, 50_000);
    expect(await harness.count('backfiller_slots_lent')).toBe(2);
    for (const send of rest) send();
    await harness.idle();
    expect((await harness.output()).length).toBe(12);
    expect(await harness.count('backfiller_slots_lent')).toBe(0);
  },
);

it('entries of a parked host that it lists itself cost no look at the directory, and wait', async () => {
  const [parked, good] = [await used.network.host(), await used.network.host()];
  const [many, one] = [await accountsOf(parked, 100), await accountsOf(good, 1)];
  const { host } = new URL(parked.url);
  await using harness = used.harnessOf({
    env: { BACKFILLER_CONCURRENCY: '1', BACKFILLER_BATCH_SIZE: '1' },
  });
  await empty(harness.redis);
  await harness.redis.hset(`repo_backfill:host:${host}`, { until: Date.now() + 3_600_000, strikes: 3 });
  await harness.add(...jobs(many, host), ...jobs(one));
  harness.start();
  await until('the good one is sent', async () => (await harness.output()).length === 1);
  expect(await harness.redis.zcard(keyOf('repo_backfill:later'))).toBe(100);
  expect(parked.requests).toEqual([]);
  // Those that were under way before it was known.
  expect(used.network.plc.requests.length).toBeLessThan(20);
});

describe('Slots', () => {
  const { signal } = new AbortController();
  const isDone = (promise: Promise<unknown>) =>
    Promise.race([promise.then(() => true), new Promise((resolve) => setImmediate(() => resolve(false)))]);

  it('lends so many and no more, and who lent one has it again before those who wait', async () => {
    const slots = new Slots(1, 1);
    const first = await slots.take(signal);
    first.lend();
    const second = await slots.take(signal);
    second.lend();
    expect(slots.lent).toBe(1);
    const third = slots.take(signal);
    expect(await isDone(third)).toBe(false);
    const again = first.takeAgain(signal);
    second[Symbol.dispose]();
    expect([await isDone(again), await isDone(third)]).toEqual([true, false]);
    expect(slots.lent).toBe(0);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    (await third)[Symbol.dispose]();
    (await slots.take(signal))[Symbol.dispose]();
  });

  it('a fetch that ends while its slot is lent gives none back', async () => {
    const slots = new Slots(1, 5);
    const first = await slots.take(signal);
    first.lend();
    const second = await slots.take(signal);
    first[Symbol.dispose]();
    const third = slots.take(signal);
    expect([await isDone(third), slots.lent]).toEqual([false, 0]);
    second[Symbol.dispose]();
    (await third)[Symbol.dispose]();
  });
});
