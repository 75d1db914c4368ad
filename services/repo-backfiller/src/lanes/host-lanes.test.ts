import { Metrics, sleep } from '@headwater/ops';
import { pauseHost, resumeHost } from '@headwater/streams';
import { beforeEach, describe, expect, it } from 'vitest';
import { useRedis } from '../../../../test/support/index.ts';
import { empty } from '../../../../test/support/redis.ts';
import { until } from '../../../../test/support/wait.ts';
import { type Busy, HostLanes, type HostLanesOptions, Lane } from './host-lanes.ts';

const used = useRedis();
const { signal } = new AbortController();

beforeEach(() => empty(used.redis));

function lanesOf(options: Partial<HostLanesOptions> = {}): HostLanes {
  return new HostLanes({
    redis: used.redis,
    prefix: 'repo_backfill',
    concurrency: 2,
    requestsPerSecond: 1000,
    metrics: new Metrics('test'),
    ...options,
  });
}

const isLane = (turn: Lane | Busy): turn is Lane => turn instanceof Lane;
async function need(turn: Promise<Lane | Busy>): Promise<Lane> {
  const lane = await turn;
  if (!isLane(lane)) throw new Error(`no turn: ${lane.busy}`);
  return lane;
}

/** A turn at `a`, as soon as it is parked no more. */
async function free(lanes: HostLanes): Promise<Lane> {
  for (;;) {
    const turn = await lanes.acquire('a', signal);
    if (isLane(turn)) return turn;
    // It is parked by the clock.
    await sleep(Math.min(turn.waitMs, 50) + 1);
  }
}

describe('HostLanes', () => {
  it('gives so many turns at one host to all copies together, and others to other hosts', async () => {
    await using one = lanesOf();
    await using two = lanesOf();
    const first = await need(one.acquire('a', signal));
    await need(two.acquire('a', signal));
    expect(await one.acquire('a', signal)).toMatchObject({ busy: 'busy' });
    expect(await two.acquire('a', signal)).toMatchObject({ busy: 'busy' });
    await need(two.acquire('b', signal));
    await first.end('ok');
    await need(two.acquire('a', signal));
  });

  it('sends so many requests a second, of all copies together', async () => {
    await using one = lanesOf({ requestsPerSecond: 20, concurrency: 100 });
    await using two = lanesOf({ requestsPerSecond: 20, concurrency: 100 });
    const started = performance.now();
    let sent = 0;
    let refused = 0;
    while (sent < 50) {
      const both = [one, two, one, two, one, two, one, two, one, two];
      const turns = await Promise.all(both.map((lanes) => lanes.acquire('a', signal)));
      for (const turn of turns) {
        if (isLane(turn)) sent += 1;
        else refused += 1;
        if (isLane(turn)) await turn.end('ok');
      }
    }
    // A burst of a second's worth, then the rate.
    const seconds = (performance.now() - started) / 1000;
    expect(sent).toBeLessThanOrEqual(20 + seconds * 20 + 1);
    expect(refused).toBeGreaterThan(0);
  });

  it('parks a host as long as it asks, for all copies, across restarts', async () => {
    const one = lanesOf();
    const lane = await need(one.acquire('a', signal));
    expect(await lane.end('limited', 30_000)).toBeGreaterThan(29_000);
    await one[Symbol.asyncDispose]();
    await using two = lanesOf();
    const turn = await two.acquire('a', signal);
    expect(turn).toMatchObject({ busy: 'parked' });
    expect((turn as Busy).waitMs).toBeGreaterThan(29_000);
    expect(await used.redis.zrange('repo_backfill:parked', 0, '-1')).toEqual(['a']);
  });

  it('parks for a growing time where a 429 says nothing', async () => {
    await using lanes = lanesOf({ baseParkMs: 100, maxParkMs: 400 });
    const pauses: number[] = [];
    for (let i = 0; i < 5; i++) {
      pauses.push(await (await free(lanes)).end('limited'));
    }
    expect(pauses[0]).toBeLessThanOrEqual(100);
    expect(pauses[2]).toBeGreaterThanOrEqual(200);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(400);
  });

  it('counts what several requests under way say of one outage once', async () => {
    await using lanes = lanesOf({ concurrency: 10, baseParkMs: 1000, maxParkMs: 100_000 });
    const turns = await Promise.all(Array.from({ length: 10 }, () => need(lanes.acquire('a', signal))));
    const pauses = await Promise.all(turns.map((turn) => turn.end('limited')));
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1000);
  });

  it('gives no turn at a host that an operator has paused', async () => {
    await using lanes = lanesOf();
    await pauseHost(used.redis, 'a', { by: 'test', reason: null });
    await until('the pause is seen', async () => {
      const turn = await lanes.acquire('a', signal);
      if (isLane(turn)) return void (await turn.end('ok'));
      return turn.busy === 'paused' && turn.waitMs >= 30_000;
    });
    await (await need(lanes.acquire('b', signal))).end('ok');
    await resumeHost(used.redis, 'a');
    await until('it is asked again', async () => isLane(await lanes.acquire('a', signal)));
  });

  it('says which hosts fail, and with what, until they do not any more', async () => {
    await using lanes = lanesOf();
    await (await need(lanes.acquire('a', signal))).end('failed', 0, 'HTTP 500');
    expect(await used.redis.zrange('repo_backfill:failing', 0, '-1')).toEqual(['a']);
    expect(await used.redis.hget('repo_backfill:host:a', 'error')).toBe('HTTP 500');
    await (await need(lanes.acquire('a', signal))).end('ok');
    expect(await used.redis.zcard('repo_backfill:failing')).toBe(0);
    expect(await used.redis.hget('repo_backfill:host:a', 'error')).toBeNull();
  });

  it('parks a host that keeps failing, then probes it with one request, then trusts it again', async () => {
    await using lanes = lanesOf({ baseParkMs: 2000, maxParkMs: 2000 });
    for (let i = 0; i < 2; i++) expect(await (await need(lanes.acquire('a', signal))).end('failed')).toBe(0);
    expect(await (await need(lanes.acquire('a', signal))).end('failed')).toBeGreaterThan(0);
    expect(await lanes.acquire('a', signal)).toMatchObject({ busy: 'parked' });
    const probe = await free(lanes);
    expect(await lanes.acquire('a', signal)).toMatchObject({ busy: 'busy' });
    await probe.end('ok');
    await need(lanes.acquire('a', signal));
    await need(lanes.acquire('a', signal));
  });

  it('gives up a host that fails for very long, until it is heard of again', async () => {
    await using lanes = lanesOf({ baseParkMs: 500, maxParkMs: 500, giveUpAfter: 5 });
    for (let i = 0; i < 5; i++) await (await free(lanes)).end('failed');
    expect(await lanes.acquire('a', signal)).toMatchObject({ busy: 'given-up' });
    await (await free(lanes)).end('limited', 60_000);
    expect(await lanes.acquire('a', signal)).toMatchObject({ busy: 'parked' });
  });

  it('takes over the turns of a process that died, keeps those of one that lives', async () => {
    const leases = async () =>
      Object.entries(await used.redis.hgetall('repo_backfill:host:a'))
        .filter(([field]) => field.startsWith('lease:'))
        .map(([, ms]) => Number(ms));
    const dead = lanesOf({ leaseMs: 1000 });
    await need(dead.acquire('a', signal));
    await need(dead.acquire('a', signal));
    const lanes = lanesOf({ leaseMs: 1000 });
    expect(await lanes.acquire('a', signal)).toMatchObject({ busy: 'busy' });
    const [ends] = await leases();
    await until(
      'it was renewed past its first end',
      async () => Date.now() > ends! && (await leases())[0]! > ends!,
    );
    expect(await lanes.acquire('a', signal)).toMatchObject({ busy: 'busy' });
    await dead[Symbol.asyncDispose]();
    await used.redis.hset('repo_backfill:host:a', 'lease:gone', `${Date.now() - 1}`);
    await need(lanes.acquire('a', signal));
    await need(lanes.acquire('a', signal));
    await lanes[Symbol.asyncDispose]();
  });

  it('spreads the entries that it refuses, so that they do not all come back at once', async () => {
    await using lanes = lanesOf({ concurrency: 1, requestsPerSecond: 10 });
    await need(lanes.acquire('a', signal));
    const waits: number[] = [];
    for (let i = 0; i < 20; i++) waits.push(((await lanes.acquire('a', signal)) as Busy).waitMs);
    expect(waits.at(-1)! - waits[0]!).toBeGreaterThan(1700);
  });

  it('shows how many hosts are parked', async () => {
    const metrics = new Metrics('test');
    await using lanes = lanesOf({ metrics });
    for (const host of ['a', 'b']) await (await need(lanes.acquire(host, signal))).end('limited', 5000);
    const shown = await metrics.registry.metrics();
    expect(shown).toMatch(/headwater_backfiller_hosts_parked\{.*\} 2/);
    expect(shown).toMatch(/headwater_backfiller_host_refusals_total/);
  });
});
