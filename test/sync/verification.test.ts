import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { COMMIT_FAULTS, type CommitFaultName } from '../simulator/faults/commits.ts';
import type { Account } from '../simulator/index.ts';
import { keyOf } from '../support/redis.ts';
import { eventually, World } from './world.ts';

/** Behaviours 9 and 10: what is believed of a commit. */
let world: World;
const names = Object.keys(COMMIT_FAULTS) as CommitFaultName[];
/** Right in a way, or no longer there: nothing that could be refused. */
const harmless: CommitFaultName[] = ['commit-legacy', 'commit-missing-since', 'commit-twice', 'commit-lost'];

beforeEach(async () => {
  const rates = { create: 0, hide: 0, delete: 0, reactivate: 0, handle: 0, rotate: 0, migrate: 0, sync: 0 };
  world = await World.create({ seed: 9, repos: names.length + 4, rates, p256: 0.2 });
  world.start();
  await world.quiet();
  expect(await world.differences()).toEqual([]);
});
afterEach(() => world[Symbol.asyncDispose]());

/** A commit that creates, changes and deletes a record, so that every fault finds something to spoil. */
function write({ repo, did }: Account): string {
  const { emitter, world: net } = world.network;
  const [changed, deleted] = [...repo.records.keys()].filter((path) =>
    path.startsWith('app.bsky.feed.like/'),
  );
  const like = {
    $type: 'app.bsky.feed.like',
    subject: {
      uri: `at://${did}/app.bsky.feed.post/x`,
      cid: 'bafyreihkbbwbsewvffxggzmam67kgaoshkrkfzedkfrgmorfjt2yr64oby',
    },
    createdAt: new Date().toISOString(),
  };
  const created = `app.bsky.feed.like/${net.tid()}`;
  const { commit } = emitter.commit(net.byDid.get(did)!, [
    { action: 'create', path: created, json: like },
    ...(changed ? [{ action: 'update' as const, path: changed, json: like }] : []),
    ...(deleted ? [{ action: 'delete' as const, path: deleted }] : []),
  ]);
  return commit.rev;
}

const revs = async (did: string) =>
  (await world.rows<{ rev: string }>('SELECT DISTINCT rev FROM record WHERE did = $1', [did])).map(
    ({ rev }) => rev,
  );

describe('what contradicts itself', () => {
  it('never reaches a table, and each of it causes a repair', { timeout: 90_000 }, async () => {
    await world.stop('repo-backfiller');
    const spoiled = new Map<Account, [CommitFaultName, string]>();
    names.forEach((name, i) => {
      const account = world.network.world.accounts[i]!;
      world.network.events.next(account.did, name);
      spoiled.set(account, [name, write(account)]);
    });
    const struck = new Set(world.network.injected.map(({ fault }) => fault));
    expect(names.filter((name) => !struck.has(name))).toEqual([]);
    await world.drained();
    const reached: string[] = [];
    for (const [{ did }, [name, rev]] of spoiled) {
      if (harmless.includes(name) || name === 'commit-future-rev') continue;
      if ((await revs(did)).includes(rev)) reached.push(name);
    }
    expect(reached).toEqual([]);
    expect(await world.rows(`SELECT uri FROM record WHERE rev > '3zz' OR uri LIKE '%3kextraextra2'`)).toEqual(
      [],
    );
    world.start('repo-backfiller');
    // A commit that was lost altogether shows in the next one.
    world.network.settle();
    await world.quiet();
    expect(await world.differences()).toEqual([]);
  });

  it('is asked for once, not once a commit', async () => {
    const account = world.network.world.accounts[0]!;
    await world.stop('repo-backfiller', 'indexer');
    for (let i = 0; i < 40; i++) {
      world.network.events.next(account.did, 'commit-omitted-op');
      write(account);
    }
    const asked = () => world.metric('ingester', 'ingester_repairs_total', { reason: 'refused' });
    await eventually(() =>
      world.metric('ingester', 'ingester_drops_total', { reason: 'bad-inversion' }),
    ).toBe(40);
    expect(await asked()).toBe(1);
    world.start('repo-backfiller', 'indexer');
    await world.quiet();
    expect(await world.differences()).toEqual([]);
    expect(await asked()).toBeLessThanOrEqual(3);
  });

  it('in the history of a repo causes one fetch: a host that was set back', async () => {
    const account = world.network.world.accounts[1]!;
    const { repo } = account;
    write(account);
    await world.drained();
    // The host lost its newest commit: its tree is the one before, and goes on from there.
    const [lost] = [...repo.records.keys()]
      .filter((path) => path > 'app.bsky.feed.like/')
      .sort()
      .slice(-1);
    world.network.events.next(account.did, 'commit-lost');
    world.network.emitter.commit(account, [{ action: 'delete', path: lost! }]);
    await world.stop('repo-backfiller');
    write(account);
    await world.drained();
    const [row] = await world.rows('SELECT gap_reason FROM headwater.repo WHERE did = $1', [account.did]);
    expect(row).toEqual({ gap_reason: 'gap' });
    world.start('repo-backfiller');
    await world.quiet();
    expect(await world.differences()).toEqual([]);
  });
});

describe('a key that was rotated', () => {
  it.each(['identity-lost', 'identity-late'] as const)(
    'is believed at once though the event is %s',
    async (fault) => {
      await world.stop('repo-backfiller');
      world.network.events.rate(fault, 1);
      for (const account of world.network.world.accounts.slice(0, 10)) {
        world.network.life.touch(account);
        world.network.life.accounts.rotateKey(account);
        world.network.life.touch(account);
      }
      await world.drained();
      // Nothing had to be fetched for it.
      expect(await world.metric('ingester', 'ingester_statements_total', { verdict: 'refused' })).toBe(0);
      expect(await world.redis.xlen(keyOf('repo_backfill:urgent'))).toBe(0);
      expect((await world.differences()).filter((line) => line.startsWith('record'))).toEqual([]);
    },
  );
});
