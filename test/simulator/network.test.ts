import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createNetwork, startRemoteNetwork } from './index.ts';

test('a network in a process of its own is driven over HTTP and tells the same truth', async () => {
  const options = { seed: 12, repos: 10, recordsPerRepo: 10, labelers: 1 };
  await using remote = await startRemoteNetwork(options);
  await using local = await createNetwork(options);
  expect(await remote.run(100)).toBe(await local.run({ operations: 100 }));
  expect(await remote.newestSeq()).toBe(local.newestSeq);
  const told: unknown[] = [];
  for await (const record of remote.records()) told.push(record);
  expect(told).toEqual([...local.truth().records()]);
  const { did } = local.world.accounts[0]!;
  expect(await remote.call('plant', { did, name: 'record-nul' })).toBe(local.plant(did, 'record-nul'));
  expect(await remote.injected()).toEqual(local.injected);
});

test('CARs kept on disk are those that would be made', async () => {
  const carFolder = await mkdtemp(join(tmpdir(), 'headwater-cars-'));
  onTestFinished(() => rm(carFolder, { recursive: true, force: true }));
  await using kept = await createNetwork({
    seed: 13,
    repos: 6,
    recordsPerRepo: 10,
    carFolder,
    sizes: { 2: 500 },
  });
  expect(await kept.prepare()).toBe(6);
  const [folder] = await readdir(carFolder);
  expect(await readdir(join(carFolder, folder!))).toHaveLength(6);
  for (const account of kept.world.accounts) {
    const answer = await fetch(`${account.host.url}/xrpc/com.atproto.sync.getRepo?did=${account.did}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    const made =
      account.host.index % 3 === 1
        ? bytes.length === account.repo.car().length
        : bytes.equals(account.repo.car());
    expect([account.did, made]).toEqual([account.did, true]);
  }
  expect(kept.world.accounts[2]!.repo.records.size).toBeGreaterThan(450);
});

test('a relay does not list all there is, and hosts list who is hidden', async () => {
  await using net = await createNetwork({
    seed: 14,
    repos: 60,
    recordsPerRepo: 2,
    inactive: 0.2,
    unlisted: 0.2,
  });
  const count = async (url: string) => {
    const answer = await fetch(`${url}/xrpc/com.atproto.sync.listRepos?limit=1000`);
    return ((await answer.json()) as { repos: { active: boolean }[] }).repos;
  };
  const hosted = (await Promise.all(net.hosts.map(count))).flat();
  const relayed = await count(net.relayUrl);
  expect(hosted).toHaveLength(60);
  const active = hosted.filter((repo) => repo.active).length;
  expect(active).toBeLessThan(60);
  expect(relayed.length).toBeLessThan(active);
  expect(relayed.every((repo) => repo.active)).toBe(true);
});
