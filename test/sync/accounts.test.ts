import { keysOf } from '@headwater/streams';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Account } from '../simulator/index.ts';
import { accountFrame } from '../simulator/protocol/frame.ts';
import { keyOf } from '../support/redis.ts';
import { eventually, World } from './world.ts';

/** Behaviour 5: the status of accounts, in the order of time. */
let world: World;
let account: Account;
beforeEach(async () => {
  world = await World.create({ seed: 5, repos: 12, rates: quietRates });
  account = world.network.world.accounts[4]!;
});
afterEach(() => world[Symbol.asyncDispose]());

const quietRates = {
  create: 0,
  hide: 0,
  delete: 0,
  reactivate: 0,
  handle: 0,
  rotate: 0,
  migrate: 0,
  sync: 0,
};

/** An account event of the relay, of a time of its own, whatever is true. */
function say(fields: { active: boolean; status?: string; time?: string }): void {
  const { emitter, world: net } = world.network;
  const { did } = account;
  const frame = accountFrame({ did, time: net.tick(1), ...fields });
  emitter.send(account, frame, { type: '#account', did });
}

const statusOf = async () =>
  (await world.rows('SELECT "upstreamStatus" AS s FROM actor WHERE did = $1', [account.did]))[0]?.['s'];

async function started(): Promise<void> {
  world.start();
  await world.quiet();
  expect(await world.differences()).toEqual([]);
}

describe('accounts', () => {
  it('a stale `deleted`, replayed after the account came back, erases nothing', async () => {
    await started();
    const before = new Date(Date.now() - 60_000).toISOString();
    world.network.life.accounts.hide(account, 'deactivated');
    await world.drained();
    expect(await statusOf()).toBe('deactivated');
    world.network.life.accounts.reactivate(account);
    await world.quiet();
    say({ active: false, status: 'deleted', time: before });
    await world.quiet();
    expect(await statusOf()).toBeNull();
    expect(await world.differences()).toEqual([]);
    expect(await world.metric('indexer', 'indexer_departures_total')).toBe(0);
  });

  it('a `deleted` that the present PDS denies hides for a moment and erases nothing', async () => {
    await started();
    world.network.faults.inject({
      fault: 'server-error',
      method: 'com.atproto.sync.getRepoStatus',
      times: 1,
    });
    say({ active: false, status: 'deleted' });
    await eventually(statusOf).toBe('deleted');
    await world.quiet();
    for (const outcome of ['unanswered', 'refuted']) {
      expect(await world.metric('indexer', 'indexer_departures_total', { outcome })).toBe(1);
    }
    expect(await statusOf()).toBeNull();
    expect(await world.differences()).toEqual([]);
  });

  it('a `deleted` that the PDS confirms removes all rows and their share of counts, and stays', async () => {
    await started();
    const late = account.repo.commit.rev;
    world.network.life.accounts.delete(account);
    await world.quiet();
    expect(await world.differences()).toEqual([]);
    expect(await world.records(account.did)).toEqual([]);
    expect(await world.metric('indexer', 'indexer_departures_total', { outcome: 'purged' })).toBe(1);
    // A listing that still has it.
    const job = JSON.stringify({ did: account.did, host: 'relay', rev: late, active: true });
    await world.redis.xadd('repo_backfill', '*', 'repo', job);
    await world.quiet();
    expect(await world.records(account.did)).toEqual([]);
  });

  it('active again without a word on what it wrote meanwhile is compared and fetched', async () => {
    await started();
    world.network.life.accounts.hide(account, 'suspended');
    await world.drained();
    // What it writes while it is away, nobody hears of.
    world.network.events.next(account.did, 'commit-lost');
    world.network.life.touch(account);
    account.status = 'active';
    say({ active: true });
    await world.quiet();
    expect(await world.differences()).toEqual([]);
  });

  it('active again is asked about once more where Redis has lost the question', async () => {
    await started();
    world.network.life.accounts.hide(account, 'suspended');
    await world.drained();
    await world.stop('repo-backfiller');
    world.network.events.next(account.did, 'commit-lost');
    world.network.life.touch(account);
    account.status = 'active';
    say({ active: true });
    const { urgent } = keysOf(world.redis, 'repo_backfill');
    await eventually(() => world.redis.xlen(urgent)).toBe(1);
    await world.redis.xtrim(urgent, 'MAXLEN', 0);
    world.start('repo-backfiller');
    await world.quiet();
    expect(await world.differences()).toEqual([]);
  });

  it.each(['desynchronized', 'throttled'])(
    '%s purges and hides nothing, and brings what was lost',
    async (status) => {
      await started();
      world.network.events.next(account.did, 'commit-lost');
      world.network.life.touch(account);
      say({ active: false, status });
      await world.quiet();
      expect(await statusOf()).toBeNull();
      expect(await world.differences()).toEqual([]);
    },
  );

  it('a status before anything else is known of an account persists', async () => {
    account.status = 'takendown';
    say({ active: false, status: 'takendown', time: new Date().toISOString() });
    await world.redis.set(keyOf(`firehose_live:cursor:${world.network.relayUrl}`), 0);
    world.start('ingester', 'indexer');
    await eventually(statusOf).toBe('takendown');
    world.start('repo-backfiller');
    await world.quiet();
    expect(await statusOf()).toBe('takendown');
  });
});
