import { afterEach, describe, expect, it } from 'vitest';
import { keyOf } from '../support/redis.ts';
import { eventually, World } from './world.ts';

/** Behaviour 13: repos that the relay does not list, hosts that do not behave. */
let world: World;
const phantomsPerHost = 400;
const rates = { create: 0, delete: 0, rotate: 0, handle: 0 };

async function begin(hostsRelistMs: number, phantomHosts = 2): Promise<void> {
  const env = { INGESTER_HOSTS_RELIST_MS: String(hostsRelistMs) };
  const network = { seed: 13, repos: 60, hosts: 5, unlisted: 0.3, inactive: 0.1, rates };
  world = await World.create({ ...network, phantomHosts, phantomsPerHost }, env);
}
afterEach(() => world[Symbol.asyncDispose]());

const hostsDone = async () => {
  const due = await world.redis.zcount(
    keyOf(`repo_backfill:hosts:${world.network.relayUrl}`),
    Date.now() + 500,
    '+inf',
  );
  return due === world.network.hosts.length;
};
const missing = async () => (await world.differences()).filter((line) => /^(record|repo|actor) /.test(line));

describe('repos', () => {
  it('that no relay lists are found on their hosts; who has moved is not hidden by the host that was left', async () => {
    await begin(3_600_000);
    const { world: net, life, faults } = world.network;
    const unlisted = net.accounts.filter((account) => account.active && !net.isListed(account));
    expect(unlisted.length).toBeGreaterThan(10);
    for (const account of unlisted.slice(0, 4)) life.accounts.migrate(account);
    for (const account of net.accounts.filter((one) => net.isListed(one)).slice(0, 4))
      life.accounts.migrate(account);
    for (const fault of ['list-empty-page', 'list-inactive-page', 'list-garbage'] as const) {
      faults.inject({ fault, service: 'pds', probability: 1, timesEach: 1 });
    }
    faults.inject({ fault: 'list-empty-page', service: 'relay', timesEach: 1 });
    world.start();
    await eventually(hostsDone).toBe(true);
    await world.quiet();
    expect(await missing()).toEqual([]);
  });

  it('of a host whose cursors come round, and of one that fails, do not keep the others from being found', async () => {
    await begin(1_000, 0);
    const { world: net, faults } = world.network;
    faults.inject({ fault: 'list-loop', service: 'pds0' });
    faults.inject({ fault: 'server-error', service: 'pds1', method: 'com.atproto.sync.listRepos' });
    world.start();
    const found = async () => {
      const rows = await world.rows<{ did: string }>(
        `SELECT did FROM headwater.repo WHERE state = 'complete'`,
      );
      const complete = new Set(rows.map(({ did }) => did));
      const wanted = net.accounts.filter((one) => one.active && one.host.index > 2);
      return wanted.every(({ did }) => complete.has(did));
    };
    await eventually(found).toBe(true);
    await eventually(() =>
      world.metric('ingester', 'ingester_host_looks_total', { outcome: 'failed' }),
    ).toBeGreaterThan(2);
    faults.clear();
    await eventually(missing).toEqual([]);
  });
});

describe('DIDs without a repo', () => {
  it('cost one look each, and no rows', { timeout: 60_000 }, async () => {
    await begin(3_600_000);
    world.start();
    await eventually(hostsDone).toBe(true);
    await world.quiet();
    const phantoms = 2 * phantomsPerHost;
    const known = new Set(world.network.world.accounts.map(({ did }) => did));
    const rows = await world.rows<{ did: string }>('SELECT did FROM actor');
    expect(rows.filter(({ did }) => !known.has(did)).length).toBe(0);
    const looks = await world.metric('repo-backfiller', 'backfiller_repos_total');
    expect(looks).toBeGreaterThan(phantoms);
    expect(looks).toBeLessThan(phantoms + 10 * known.size);
    expect(await world.redis.xlen(keyOf('repo_backfill:dead'))).toBe(0);
  });
});
