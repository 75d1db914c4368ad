import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { keyOf } from '../support/redis.ts';
import { eventually, World } from './world.ts';

/** Behaviour 8: what a relay does not say of its stream. */
let world: World;
beforeEach(async () => {
  world = await World.create({ seed: 8, repos: 25, hosts: 2, rates: { delete: 10, handle: 0, hide: 20 } });
  world.start();
  await world.network.run({ operations: 60 });
  await world.quiet();
  expect(await world.differences()).toEqual([]);
});
afterEach(() => world[Symbol.asyncDispose]());

/** Statuses as they are; then everything, once those who are hidden can be fetched again. */
async function expectTruth(): Promise<void> {
  expect((await world.differences()).filter((line) => line.startsWith('actor '))).toEqual([]);
  world.network.life.reactivateAll();
  await world.quiet();
  expect(await world.differences()).toEqual([]);
}

const breaks = (reason: string) => world.metric('ingester', 'ingester_drops_total', { reason });

describe('without a word from the relay', () => {
  it('a cursor older than what it keeps is noticed, and the repos concerned are right in the end', async () => {
    await world.stop('ingester');
    await world.network.run({ operations: 120 });
    // Of what happened meanwhile the relay has only the newest few events.
    world.network.streams.outdate({ keep: 5 });
    world.start('ingester');
    await world.quiet();
    expect(await breaks('sequence-hole')).toBe(1);
    await expectTruth();
  });

  it('a sequence that begins anew below the cursor recovers unattended', async () => {
    await world.network.run({ operations: 40 });
    world.network.streams.reset({ next: 1 });
    await world.network.run({ operations: 40 });
    await world.quiet();
    expect(await breaks('sequence-reset')).toBeGreaterThan(0);
    await expectTruth();
  });

  it('a sequence that jumps ahead recovers unattended', async () => {
    world.network.streams.reset({ next: world.network.newestSeq + 1_000_000 });
    await world.network.run({ operations: 40 });
    await world.quiet();
    expect(await breaks('sequence-hole')).toBeGreaterThan(0);
    await expectTruth();
  });

  it('a sequence that begins anew and has just reached the cursor is noticed by its times', async () => {
    const url = world.network.relayUrl;
    await world.stop('ingester');
    const cursor = Number(await world.redis.get(keyOf(`firehose_live:cursor:${url}`)));
    await world.network.run({ operations: 60 });
    world.network.streams.reset({ next: cursor + 1 });
    // What is stored with the cursor is from before.
    await world.redis.set(keyOf(`firehose_live:time:${url}`), new Date(Date.now() - 3_600_000).toISOString());
    await world.network.run({ operations: 60 });
    world.start('ingester');
    await world.quiet();
    expect([await breaks('sequence-hole'), await breaks('sequence-reset')]).toEqual([0, 0]);
    expect(await breaks('time-gap')).toBe(1);
    await expectTruth();
  });

  it('a cursor in the future is noticed by the next event, and what was missed is found', async () => {
    const url = world.network.relayUrl;
    await world.stop('ingester');
    await world.network.run({ operations: 60 });
    await world.redis.set(keyOf(`firehose_live:cursor:${url}`), 10_000_000);
    world.start('ingester');
    await eventually(() => world.network.fleet.relays[0]!.firehose.subscribers.size).toBe(1);
    await world.network.run({ operations: 3 });
    await world.quiet();
    expect(await breaks('sequence-reset')).toBe(1);
    await expectTruth();
  });
});

describe('an account that is deleted while nobody listens', () => {
  const suspects = () =>
    world
      .rows('SELECT did FROM headwater.departure WHERE suspected')
      .then((rows) => rows.map(({ did }) => did));
  const asked = () => world.metric('indexer', 'indexer_absent_accounts_total');

  beforeEach(async () => {
    await world.stop('ingester');
    const account = world.network.world.accounts.find(({ active }) => active)!;
    world.network.life.accounts.delete(account);
    gone = account.did;
    await world.network.run({ operations: 120 });
    world.network.streams.outdate({ keep: 5 });
  });
  let gone: string;

  it('is missing from the list, hidden by nothing, and removed when its PDS has said so twice', async () => {
    const before = await world.records(gone);
    world.start('ingester');
    await eventually(suspects).toContain(gone);
    const later = `SELECT due > now() + interval '30 minutes' AS later FROM headwater.departure WHERE did = $1`;
    expect(await world.rows(later, [gone])).toEqual([{ later: true }]);
    expect(await world.records(gone)).toEqual(before);
    expect(await world.rows('SELECT "upstreamStatus" AS s FROM actor WHERE did = $1', [gone])).toEqual([
      { s: null },
    ]);
    await world.quiet();
    expect(await world.records(gone)).toEqual([]);
    expect(await asked()).toBeGreaterThan(0);
    await expectTruth();
  });

  it('and is known to its PDS again at the second look, is shown as it is', async () => {
    world.start('ingester');
    await eventually(suspects).toContain(gone);
    const account = world.network.world.byDid.get(gone)!;
    account.status = 'active';
    await world.quiet();
    expect((await world.records(gone)).length).toBeGreaterThan(0);
    await expectTruth();
  });
});
