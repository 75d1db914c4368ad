import { lexicons } from '@atproto/api';
import { readCarWithRoot, verifyProofs } from '@atproto/repo';
import { expect, test } from 'vitest';
import { createNetwork, type Network } from '../index.ts';
import { withSeq } from '../protocol/frame.ts';
import { didKey } from '../protocol/keys.ts';
import { type DecodedFrame, decodeFrame, invert } from '../reference.ts';
import { COMMIT_FAULTS, type CommitFaultName } from './commits.ts';

const PATH = 'app.bsky.feed.post/3kaaaaaaaaa22';

/** Wrong in ways that the checks below do not look at. */
const ELSEWHERE = new Set<CommitFaultName>([
  'commit-legacy',
  'commit-lost',
  'commit-twice',
  'commit-future-rev',
]);

function post(text: string): Record<string, unknown> {
  return { $type: 'app.bsky.feed.post', text, createdAt: '2026-05-01T00:00:00.000Z' };
}

function newest(network: Network): DecodedFrame[] {
  return network.world.relays[0]!.entries().map(({ frame, seq }) =>
    decodeFrame(withSeq(frame as never, seq)),
  );
}

test('every spoiled commit is one that a check finds, and the repo stays true', async () => {
  for (const name of Object.keys(COMMIT_FAULTS) as CommitFaultName[]) {
    if (ELSEWHERE.has(name)) continue;
    await using network = await createNetwork({ seed: 6, repos: 3, recordsPerRepo: 40 });
    const account = network.world.accounts[0]!;
    network.emitter.commit(account, [{ action: 'create', path: PATH, json: post('one') }]);
    const { rev, data } = account.repo.commit;
    network.events.next(account.did, name);
    network.emitter.commit(account, [
      { action: 'update', path: PATH, json: post('two') },
      { action: 'create', path: `${PATH.slice(0, -1)}3`, json: post('three') },
    ]);
    expect(network.injected.map(({ fault, did }) => [fault, did])).toEqual([[name, account.did]]);
    const [, { body }] = newest(network) as [DecodedFrame, DecodedFrame];
    const problems = await problemsOf(network, body, { rev, data: String(data.toString('hex')) });
    expect(problems.length, name).toBeGreaterThan(0);
  }
}, 20_000);

/** What is wrong with a commit, by the reference libraries and by what came before it. */
async function problemsOf(
  network: Network,
  body: DecodedFrame['body'],
  before: { rev: string; data: string },
): Promise<string[]> {
  const problems: string[] = [];
  const did = body['repo'] as string;
  const ops = body['ops'] as { path: string; cid: unknown; action: string; prev?: unknown }[];
  if (body['tooBig']) problems.push('too big');
  if (ops.length > 200) problems.push('ops');
  if ((body['blocks'] as Uint8Array).length > 2_000_000) problems.push('size');
  if (ops.some(({ action, prev }) => (action === 'create') !== (prev === undefined))) problems.push('prev');
  if (body['since'] !== before.rev) problems.push('since');
  const attempt = async (name: string, run: () => Promise<boolean>) => {
    if (!(await run().catch(() => false))) problems.push(name);
  };
  await attempt('lexicon', async () => {
    const $type = 'com.atproto.sync.subscribeRepos#commit';
    return Boolean(
      lexicons.assertValidXrpcMessage('com.atproto.sync.subscribeRepos', { $type, ...body }) ?? true,
    );
  });
  await attempt('root', async () => {
    const { root, blocks } = await readCarWithRoot(body['blocks'] as Uint8Array);
    const text = Buffer.from(blocks.get(root)!).toString('latin1');
    return (
      String(root) === String(body['commit']) && text.includes(did) && text.includes(body['rev'] as string)
    );
  });
  await attempt('records', async () => {
    const { blocks } = await readCarWithRoot(body['blocks'] as Uint8Array);
    return ops.every(({ cid }) => cid === null || blocks.has(cid as never));
  });
  await attempt('proofs', async () => {
    const claims = ops.map(({ path, cid }) => ({
      collection: path.split('/')[0],
      rkey: path.split('/')[1],
      cid,
    }));
    const key = didKey(network.account(did).key);
    const { unverified } = await verifyProofs(body['blocks'] as Uint8Array, claims as never, did, key);
    return unverified.length === 0;
  });
  await attempt('inversion', async () => (await invert(body)) === String(body['prevData']));
  await attempt('prevData', async () => {
    const prevData = body['prevData'] as { bytes: Uint8Array };
    return Buffer.from(prevData.bytes).toString('hex') === before.data;
  });
  return problems;
}

test('a true commit is found right by the same checks', async () => {
  await using network = await createNetwork({ seed: 6, repos: 3, recordsPerRepo: 40 });
  const account = network.world.accounts[0]!;
  const { rev, data } = account.repo.commit;
  network.emitter.commit(account, [{ action: 'create', path: PATH, json: post('one') }]);
  const [{ body }] = newest(network) as [DecodedFrame];
  expect(await problemsOf(network, body, { rev, data: data.toString('hex') })).toEqual([]);
});

test('lost, late and replayed events are noted, and settling makes the last word true', async () => {
  await using network = await createNetwork({
    seed: 8,
    repos: 10,
    recordsPerRepo: 10,
    inactive: 0.2,
    rates: { handle: 50, rotate: 50 },
  });
  for (const name of [
    'identity-late',
    'identity-lost',
    'account-replayed',
    'commit-swapped',
    'commit-lost',
  ] as const) {
    network.events.rate(name, 0.1);
  }
  await network.run({ operations: 600 });
  network.settle();
  const last = new Map<string, string>();
  for (const { header, body } of newest(network)) {
    if (header.t === '#commit' || header.t === '#sync')
      last.set((body['repo'] ?? body['did']) as string, body['rev'] as string);
  }
  for (const { did, rev, active } of network.truth().actors()) {
    if (active && last.has(did)) expect([did, last.get(did)]).toEqual([did, rev]);
  }
  const names = new Set(network.injected.map(({ fault }) => fault));
  expect([...names].sort()).toEqual([
    'account-replayed',
    'commit-lost',
    'commit-swapped',
    'identity-late',
    'identity-lost',
  ]);
});
