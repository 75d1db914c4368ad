import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { type Block, carOf, DID, KEY, put, putCommit, putNode } from '../testing/blocks.ts';
import { openRepo } from './snapshot.ts';

const tmpDir = tmpdir();

describe('a commit', () => {
  test.each<[string, object]>([
    ['another version', { version: 2 }],
    ['a DID that is none', { did: 'alice' }],
    ['a rev that is no TID', { rev: '2024' }],
    ['data that is no link', { data: null }],
    ['prev that is a text', { prev: 'x' }],
    ['no prev', { prev: undefined }],
    ['a sig that is a text', { sig: 'x' }],
  ])('is refused with %s', async (_, fields) => {
    const blocks: Block[] = [];
    const tree = putNode(blocks, null, []);
    const cleaned = Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined));
    const commit = {
      did: 'did:plc:a',
      version: 3,
      data: tree,
      rev: '3l4qpz7ajrc2a',
      prev: null,
      sig: Buffer.alloc(64),
    };
    const merged: Record<string, unknown> = { ...commit, ...cleaned };
    if ('prev' in fields && fields.prev === undefined) delete merged.prev;
    put(blocks, merged);
    const opened = openRepo([carOf(blocks.at(-1)!.cid, blocks)], { tmpDir });
    await expect(opened).rejects.toMatchObject({ name: 'RepoError', reason: 'bad-commit' });
  });

  test('of another account is refused', async () => {
    const blocks: Block[] = [];
    const tree = putNode(blocks, null, []);
    await putCommit(blocks, tree);
    const opened = openRepo([carOf(blocks.at(-1)!.cid, blocks)], { tmpDir, did: 'did:plc:other' });
    await expect(opened).rejects.toMatchObject({ reason: 'wrong-did' });
  });

  test('may have fields to come, which its signature covers', async () => {
    const blocks: Block[] = [];
    await putCommit(blocks, putNode(blocks, null, []), { zzz: [1], a: 'x' });
    await using repo = await openRepo([carOf(blocks.at(-1)!.cid, blocks)], { tmpDir, key: KEY });
    expect(repo.did).toBe(DID);
  });
});
