import { readCarWithRoot, verifyRepoCar } from '@atproto/repo';
import { expect, it } from 'vitest';
import { didOf, RepoHost } from './repos.ts';

it('serves signed repos that the reference implementation verifies', async () => {
  await using host = await RepoHost.start();
  const did = didOf('ann');
  const value = { $type: 'app.bsky.feed.post', text: 'hello', createdAt: '2026-01-01T00:00:00.000Z' };
  const built = await host.add(did, [{ collection: 'app.bsky.feed.post', rkey: '3kaaaaaaaaa2a', value }]);
  const response = await fetch(`${host.url}/xrpc/com.atproto.sync.getRepo?did=${did}`);
  const car = new Uint8Array(await response.arrayBuffer());
  const document = (await (await fetch(`${host.url}/${did}`)).json()) as {
    verificationMethod: { publicKeyMultibase: string }[];
  };
  const key = `did:key:${document.verificationMethod[0]!.publicKeyMultibase}`;
  await expect(verifyRepoCar(car, did, key)).resolves.toBeDefined();
  const { blocks } = await readCarWithRoot(car);
  expect(blocks.entries().map((entry) => entry.cid.toString())).toContain(built.records[0]!.cid);
});
