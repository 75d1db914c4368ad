import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startNetwork as startNetworkIn } from '@headwater/local/network';
import { expect, it } from 'vitest';
import { startNetwork } from './network.ts';

const collection = 'app.bsky.feed.post';

// biome-ignore lint/suspicious/noExplicitAny: answers of the network, checked by the expectations
type Json = Record<string, any>;

async function getJson(url: string): Promise<Json> {
  const response = await fetch(url);
  return (await response.json()) as Json;
}

it('is a PLC and a PDS with accounts and records', async () => {
  await using network = await startNetwork();
  const [ann, bob] = [await network.createAccount('ann'), await network.createAccount('bob')];
  const post = await ann.post('hello');
  await bob.like(post);
  await bob.delete(await bob.repost(post));
  const value = (n: number) => ({ text: `${n}`, createdAt: '2026-01-01T00:00:00Z' });
  await bob.write([1, 2, 3].map((n) => ({ action: 'create', collection, value: value(n) })));
  expect(await network.waitForSequencer()).toBeGreaterThan(5);

  const document = await getJson(`${network.plcUrl}/${ann.did}`);
  expect(document['service'][0].serviceEndpoint).toBe(network.pdsUrl);
  const { repos } = await getJson(`${network.pdsUrl}/xrpc/com.atproto.sync.listRepos`);
  expect(repos.map((repo: { did: string }) => repo.did).sort()).toEqual([ann.did, bob.did].sort());
  const { data } = await bob.agent.com.atproto.repo.listRecords({ repo: bob.did, collection });
  expect(data.records).toHaveLength(3);
});

it('goes on where it stopped when it is started on the same folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-network-'));
  const first = await startNetworkIn({ folder });
  const { did } = await first.createAccount('ann');
  const [seq, urls] = [await first.waitForSequencer(), [first.plcUrl, first.pdsUrl]];
  await first.stop();
  const second = await startNetworkIn({ folder });
  expect([second.plcUrl, second.pdsUrl]).toEqual(urls);
  expect((await getJson(`${second.plcUrl}/${did}`))['id']).toBe(did);
  const ann = await second.login('ann');
  await ann.post('again');
  expect(ann.did).toBe(did);
  expect(await second.waitForSequencer()).toBe(seq + 1);
  await second.stop();
  await rm(folder, { recursive: true });
});
