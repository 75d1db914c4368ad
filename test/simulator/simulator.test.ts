import { createHash } from 'node:crypto';
import { jsonToLex, lexicons } from '@atproto/api';
import { verifyProofs, verifyRepoCar } from '@atproto/repo';
import { encode } from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { describe, expect, test } from 'vitest';
import { Random } from './content/random.ts';
import { createNetwork, Network } from './index.ts';
import { cidOf, cidText } from './protocol/cid.ts';
import { withSeq } from './protocol/frame.ts';
import { didKey } from './protocol/keys.ts';
import { buildTree, cidOfNode, EMPTY, type Node } from './protocol/tree.ts';
import { removeKey, setKey } from './protocol/tree-edit.ts';
import { type DecodedFrame, decodeFrame, invert, rootOf } from './reference.ts';

function frames(network: Network): DecodedFrame[] {
  return network.world.relays[0]!.entries().map(({ frame, seq }) =>
    decodeFrame(Buffer.isBuffer(frame) ? frame : withSeq(frame, seq)),
  );
}

describe('repos', () => {
  test('are what @atproto/repo takes for a repo, with the records of the truth', async () => {
    const network = new Network({ seed: 3, repos: 25, recordsPerRepo: 40, p256: 0.3 });
    for (const account of network.world.accounts) {
      const repo = await verifyRepoCar(account.repo.car(), account.did, didKey(account.key));
      const found = repo.creates.map((c) => `${c.collection}/${c.rkey} ${c.cid}`);
      const wanted = [...account.repo.records].map(([path, block]) => `${path} ${cidText(cidOf(block))}`);
      expect(found.sort()).toEqual(wanted.sort());
      expect(String(repo.commit.cid)).toBe(account.head.cid);
      expect(repo.commit.rev).toBe(account.rev);
    }
  });

  test('hold records that their lexicons allow, encoded as @ipld/dag-cbor does', async () => {
    const network = new Network({ seed: 4, repos: 40, recordsPerRepo: 60 });
    await network.run({ operations: 300 });
    for (const { uri, json, cid } of network.truth().records()) {
      const value = fromJson(json);
      expect(cidText(cidOf(encode(value)))).toBe(cid);
      const collection = uri.split('/')[3]!;
      const { success, error } = lexicons.validate(collection, jsonToLex(json)) as {
        success: boolean;
        error?: Error;
      };
      expect(error?.message, `${uri} ${JSON.stringify(json)}`).toBeUndefined();
      expect(success).toBe(true);
    }
  });
});

describe('trees', () => {
  test('are the same whatever the way to them, and those of @atproto/repo', async () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = new Random(seed);
      const leaves = new Map<string, Buffer>();
      let tree: Node = EMPTY;
      for (let step = 0; step < 60; step++) {
        const key = `a.b.c/${random.below(40)}`;
        if (leaves.has(key) && random.chance(0.5)) {
          leaves.delete(key);
          tree = removeKey(tree, key);
        } else {
          const value = cidOf(Buffer.from(`${seed} ${step}`));
          leaves.set(key, value);
          tree = setKey(tree, key, value);
        }
        const keys = [...leaves.keys()].sort();
        const built = buildTree(
          keys,
          keys.map((k) => leaves.get(k)!),
        );
        expect(cidText(cidOfNode(tree)), `seed ${seed}, step ${step}`).toBe(cidText(cidOfNode(built)));
      }
      const decoded = [...leaves].map(([k, v]) => [k, CID.decode(v)] as [string, CID]);
      expect(cidText(cidOfNode(tree)), `seed ${seed}`).toBe(await rootOf(decoded));
    }
  });
});

describe('frames', () => {
  test('are messages of their lexicon, with proofs and a tree that can be undone to prevData', async () => {
    const network = new Network({ seed: 5, repos: 12, recordsPerRepo: 60, rates: { rotate: 0, migrate: 0 } });
    await network.run({ operations: 300 });
    const seen = new Set<string>();
    for (const { header, body } of frames(network)) {
      seen.add(header.t!);
      const $type = `com.atproto.sync.subscribeRepos${header.t}`;
      lexicons.assertValidXrpcMessage('com.atproto.sync.subscribeRepos', { $type, ...body });
      if (header.t !== '#commit') continue;
      await checkCommit(network, body);
    }
    expect([...seen].sort()).toEqual(['#account', '#commit', '#identity', '#sync']);
  });

  async function checkCommit(network: Network, body: DecodedFrame['body']): Promise<void> {
    const did = body['repo'] as string;
    const claims = (body['ops'] as { path: string; cid: unknown }[]).map(({ path, cid }) => {
      const [collection, rkey] = path.split('/') as [string, string];
      return { collection, rkey, cid } as never;
    });
    const key = didKey(network.account(did).key);
    const { unverified } = await verifyProofs(body['blocks'] as Uint8Array, claims, did, key);
    expect(unverified).toEqual([]);
    if (body['since'] !== null) expect(await invert(body)).toBe(String(body['prevData']));
  }
});

describe('one seed', () => {
  test('gives the same bytes every time', async () => {
    const one = await history();
    expect(await history()).toBe(one);
    expect(await history(8)).not.toBe(one);
  });

  async function history(seed = 7): Promise<string> {
    const network = new Network({ seed, repos: 20, recordsPerRepo: 30 });
    await network.run({ operations: 400 });
    const digest = createHash('sha256');
    for (const { frame, seq } of network.world.relays[0]!.entries())
      digest.update(withSeq(frame as never, seq));
    for (const account of network.world.accounts) digest.update(account.repo.car());
    return digest.digest('hex');
  }
});

describe('the truth', () => {
  test('follows what happens', async () => {
    await using network = await createNetwork({ seed: 9, repos: 10, recordsPerRepo: 20 });
    await network.run({ operations: 300 });
    const { likes } = network.truth().counts();
    const counted = new Map<string, Set<string>>();
    for (const { uri, did, json } of network.truth().records()) {
      if (uri.split('/')[3] !== 'app.bsky.feed.like') continue;
      const subject = (json['subject'] as { uri: string }).uri;
      counted.set(subject, (counted.get(subject) ?? new Set()).add(did));
    }
    expect(likes).toEqual(new Map([...counted].map(([subject, dids]) => [subject, dids.size])));
  });
});

/** Lexicon JSON with its links as CIDs. */
function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== 'object' || value === null) return value;
  const { $link } = value as { $link?: string };
  if ($link !== undefined) return CID.parse($link);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fromJson(item)]));
}
