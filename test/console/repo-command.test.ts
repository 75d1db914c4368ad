import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Secp256k1Keypair } from '@atproto/crypto';
import { blocksToCarFile, MemoryBlockstore, Repo, WriteOpAction } from '@atproto/repo';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const main = fileURLToPath(import.meta.resolve('../../services/console/src/main.ts'));
const did = 'did:plc:aaaaaaaaaaaaaaaaaaaaaaaa';
const collection = 'app.bsky.feed.post';
const count = 60;
let dir: string;
let car: Uint8Array;
let didDoc: string;

/** Runs the command as an operator would. */
function headwater(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, out, err) => {
      resolve({ code: Number(error?.code ?? 0), out, err });
    });
  });
}

async function file(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, bytes);
  return path;
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'repo-command-'));
  const keypair = await Secp256k1Keypair.create();
  const storage = new MemoryBlockstore();
  const writes = Array.from({ length: count }, (_, i) => ({
    action: WriteOpAction.Create as const,
    collection,
    rkey: `3kaaaaaaaa${String(i)
      .padStart(3, '2')
      .replaceAll(/[0189]/g, '7')}${i}`,
    record: { $type: collection, text: `post ${i}`, createdAt: '2026-01-01T00:00:00.000Z' },
  }));
  const repo = await Repo.create(storage, did, keypair, writes as Parameters<typeof Repo.create>[3]);
  car = await blocksToCarFile(repo.cid, storage.blocks);
  didDoc = await file(
    'did.json',
    JSON.stringify({
      id: did,
      verificationMethod: [
        {
          id: '#atproto',
          type: 'Multikey',
          controller: did,
          publicKeyMultibase: keypair.did().slice('did:key:'.length),
        },
      ],
    }),
  );
});

afterAll(() => rm(dir, { recursive: true, force: true }));

describe('headwater repo', () => {
  it('verifies a good repo with its signature', async () => {
    const { code, out } = await headwater('repo', 'verify', await file('good.car', car), '--did-doc', didDoc);
    expect([code, out]).toEqual([0, expect.stringMatching(`${count} records, all good; signature good`)]);
  });

  it('lists records as text and as JSON lines', async () => {
    const path = await file('good.car', car);
    const text = await headwater('repo', 'inspect', path);
    expect(text.out.trim().split('\n')).toHaveLength(count);
    expect(text.out).toMatch(/^app\.bsky\.feed\.post\/\S+ bafyrei\S+\n/);
    const json = await headwater('repo', 'inspect', path, '--json', '--records');
    for (const line of json.out.trim().split('\n')) {
      const { path, cid, record } = JSON.parse(line);
      expect([path, cid, record.$type]).toEqual([
        expect.stringMatching(/^app/),
        expect.stringMatching(/^bafy/),
        collection,
      ]);
    }
  });

  it('refuses a cut at any block boundary, another DID, a file that is not there', async () => {
    // One cut as an operator would meet it; every boundary is tried in packages/repo.
    const half = await headwater('repo', 'verify', await file('cut.car', car.subarray(0, car.length >> 1)));
    expect([half.code, half.err]).toEqual([1, expect.stringMatching(/truncated|missing-block/)]);
    const gone = await headwater('repo', 'verify', join(dir, 'nowhere.car'));
    expect([gone.code, gone.err]).toEqual([1, expect.stringContaining('nowhere.car')]);
    const other = await file('other.json', JSON.stringify({ id: 'did:plc:bbbbbbbbbbbbbbbbbbbbbbbb' }));
    expect((await headwater('repo', 'verify', await file('good.car', car), '--did-doc', other)).code).toBe(1);
  });

  it('ends without a word when nobody reads on', async () => {
    const command = `'${process.execPath}' '${main}' repo inspect '${await file('good.car', car)}' | true`;
    const err = await new Promise((resolve) =>
      execFile('sh', ['-c', command], (_, __, said) => resolve(said)),
    );
    expect(err).toBe('');
  });

  it('explains wrong words', async () => {
    const { code, err } = await headwater('repo', 'look');
    expect([code, err]).toEqual([2, expect.stringMatching(/^headwater: /)]);
  });
});
