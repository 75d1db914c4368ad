import { keysOf } from '@headwater/streams';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Account } from '../simulator/index.ts';
import { keyOf } from '../support/redis.ts';
import { eventually, World } from './world.ts';

/** Behaviour 11: what is written while a repo is fetched. */
let world: World;
let account: Account;
const rates = { create: 0, hide: 0, delete: 0, reactivate: 0, handle: 0, rotate: 0, migrate: 0, sync: 0 };

beforeEach(async () => {
  world = await World.create({ seed: 11, repos: 6, recordsPerRepo: 300, rates });
  account = world.network.world.accounts[2]!;
  await world.redis.set(keyOf(`firehose_live:cursor:${world.network.relayUrl}`), 0);
});
afterEach(() => world[Symbol.asyncDispose]());

/** A commit that creates, changes and deletes; what it says of the repo is true from now on. */
function write(): void {
  const { repo } = account;
  const paths = [...repo.records.keys()].filter((path) => path.startsWith('app.bsky.feed.like/'));
  const [changed, deleted] = [paths.at(-1)!, paths[0]!];
  const json = { $type: 'app.bsky.feed.like', subject: subject(), createdAt: new Date().toISOString() };
  world.network.emitter.commit(account, [
    { action: 'create', path: `app.bsky.feed.like/${world.network.world.tid()}`, json },
    { action: 'update', path: changed, json },
    { action: 'delete', path: deleted },
  ]);
}

function subject() {
  const [other] = world.network.world.accounts;
  const uri = `at://${other!.did}/app.bsky.feed.post/3kaaaaaaaaa22`;
  return { uri, cid: 'bafyreihkbbwbsewvffxggzmam67kgaoshkrkfzedkfrgmorfjt2yr64oby' };
}

const job = () => {
  const text = JSON.stringify({ did: account.did, host: 'relay', rev: '', active: true, force: true });
  return world.redis.xadd('repo_backfill', '*', 'repo', text);
};
const repo = async () =>
  (
    await world.rows('SELECT state, head, links, gap_at FROM headwater.repo WHERE did = $1', [account.did])
  )[0];

describe('a commit', () => {
  it.each([
    'before the fetch begins',
    'while the repo is sent',
    'when it is compared and not applied',
    'while it is applied',
    'after it',
  ])('%s takes effect once', async (step) => {
    const at = (name: string) => {
      if (name === step) for (let i = 0; i < 3; i++) write();
    };
    world.start('ingester', 'indexer');
    at('before the fetch begins');
    await world.drained();
    // The answer is on its way for a while.
    world.network.faults.inject({
      fault: 'slow-body',
      did: account.did,
      bytesPerSecond: 150_000,
      method: 'com.atproto.sync.getRepo',
      timesEach: 1,
    });
    world.start('repo-backfiller');
    await eventually(() => world.metric('repo-backfiller', 'backfiller_repos_in_flight')).toBeGreaterThan(0);
    at('while the repo is sent');
    await world.stop('indexer');
    await eventually(() => world.redis.xlen('repo_backfill')).toBe(0);
    expect(await world.redis.xlen('firehose_backfill')).toBeGreaterThan(0);
    at('when it is compared and not applied');
    world.start('indexer');
    at('while it is applied');
    await world.quiet();
    at('after it');
    await world.quiet();
    expect(await world.differences()).toEqual([]);
    expect(await repo()).toMatchObject({ state: 'complete', links: null, gap_at: null });
  });

  it('of thousands, before their repo was ever fetched, costs a bounded memory of what is missing', async () => {
    world.start('ingester', 'indexer');
    for (let i = 0; i < 2000; i++) world.network.life.touch(account);
    await world.drained();
    const [row] = await world.rows<{ size: number }>(
      'SELECT length(links::text) AS size FROM headwater.repo WHERE did = $1',
      [account.did],
    );
    expect(row!.size).toBeLessThan(1000);
    world.start('repo-backfiller');
    await world.quiet();
    expect(await world.differences()).toEqual([]);
  });
});

describe('a repo that is fetched again and again', () => {
  it('while it is written to without pause ends as it is', async () => {
    world.start();
    await world.quiet();
    for (let round = 0; round < 12; round++) {
      await job();
      for (let i = 0; i < 4; i++) write();
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    await world.quiet();
    expect(await world.differences()).toEqual([]);
    expect(await world.redis.xlen(keysOf(world.redis, 'firehose_live').dead)).toBe(0);
  });
});
