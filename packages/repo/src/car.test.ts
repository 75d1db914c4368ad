import { readdirSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as dagCbor from '@ipld/dag-cbor';
import fc from 'fast-check';
import { CID } from 'multiformats/cid';
import * as Digest from 'multiformats/hashes/digest';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import * as build from '../testing/blocks.ts';
import { MAX_BLOCK_BYTES } from './car.ts';
import { RepoError } from './errors.ts';
import { type OpenRepoOptions, openRepo } from './snapshot.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const tmpDir = await mkdtemp(join(tmpdir(), 'headwater-car-'));
afterAll(() => rm(tmpDir, { recursive: true }));

let blocks: build.Block[];
let car: Buffer;
let root: CID;

beforeAll(async () => {
  blocks = [];
  const leaf = build
    .keysAtLayer(0, 12)
    .map((key, i) => ({ key, value: build.put(blocks, { text: `${i}` }) }));
  car = await build.repoOf(blocks, build.putNode(blocks, null, leaf));
  root = blocks.at(-1)!.cid;
});

/** Everything that a CAR says, or the reason why it is refused. */
async function read(
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: Partial<OpenRepoOptions> = {},
) {
  try {
    await using repo = await openRepo(source, { tmpDir, did: build.DID, key: build.KEY, ...options });
    const records = [...repo.records()].map((r) => `${r.path} ${r.cid} ${r.json()}`);
    return [repo.did, repo.rev, repo.commit, repo.data, ...records].join('\n');
  } catch (error) {
    if (error instanceof RepoError) return error.reason;
    throw error;
  }
}

function* chunks(bytes: Uint8Array, sizes: number[]) {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

describe('a CAR', () => {
  test('is read the same however it is cut into chunks, in memory and in a file', async () => {
    const whole = await read([car]);
    expect(whole).toMatch(/^did:plc:.*\n.*\n.*\n.*\napp.bsky/);
    expect(await read(chunks(car, [1]))).toBe(whole);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }),
        fc.nat({ max: car.length + 10 }),
        async (sizes, spoolAboveBytes) => {
          expect(await read(chunks(car, sizes), { spoolAboveBytes })).toBe(whole);
        },
      ),
    );
  });

  test('is refused when it is cut, at whichever byte', async () => {
    for (let length = 0; length < car.length; length++) {
      expect(await read([car.subarray(0, length)])).toMatch(/^(truncated|missing-block)$/);
    }
  });

  test('is read the same in any order of its blocks, with some of them twice', async () => {
    const whole = await read([car]);
    const [head, ...sections] = build.sectionsOf(car);
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray([...sections, ...sections.slice(0, 9)], { minLength: sections.length + 9 }),
        async (shuffled) => {
          expect(await read([head!, ...shuffled])).toBe(whole);
        },
      ),
    );
  });

  test('is refused with any bit flipped', async () => {
    for (let bit = 0; bit < car.length * 8; bit += 7) {
      const flipped = Buffer.from(car);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect(await read([flipped])).not.toContain('\n');
    }
  });

  test('may hold raw blocks, which are hashed and left out', async () => {
    const raw = build.blockOf(Buffer.from('a blob'), 0x55);
    expect(await read([car, build.section(raw.cid.bytes, raw.bytes)])).toBe(await read([car]));
    expect(await read([car, build.section(raw.cid.bytes, Buffer.from('another'))])).toBe('bad-hash');
  });

  test('may hold blocks of nearly 2 MiB', async () => {
    const large: build.Block[] = [];
    const text = 'x'.repeat(MAX_BLOCK_BYTES - 12);
    const [a, b] = build.keysAtLayer(0, 2) as [string, string];
    const value = build.put(large, { text });
    const other = build.put(large, { text: `y${text.slice(1)}` });
    const tree = build.putNode(large, null, [
      { key: a, value },
      { key: b, value: other },
    ]);
    const bytes = await build.repoOf(large, tree);
    for (const options of [{}, { spoolAboveBytes: 1 }]) {
      await using repo = await openRepo(chunks(bytes, [50_001]), { tmpDir, ...options });
      const [first, second] = [...repo.records()];
      expect(first!.bytes()).toEqual(Buffer.from(large[0]!.bytes));
      expect(second!.bytes()).toEqual(Buffer.from(large[1]!.bytes));
      expect(() => first!.json()).toThrow(expect.objectContaining({ reason: 'too-large' }));
    }
    const more: build.Block[] = [];
    build.put(more, { text: `${text}123456789012` });
    expect(await read([bytes, build.section(more[0]!.cid.bytes, more[0]!.bytes)])).toBe('too-large');
  });

  test('is refused where a cap is passed, before its bytes are taken in', async () => {
    expect(await read([car], { maxBytes: car.length - 1 })).toBe('too-large');
    expect(await read([car], { maxBytes: car.length })).toContain('\n');
    const claim = Buffer.concat([build.header([root]), Buffer.from([0xff, 0xff, 0xff, 0x7f])]);
    expect(await read([claim])).toBe('too-large');
  });

  test.each<[string, () => Uint8Array]>([
    ['no root', () => build.header([])],
    ['two roots', () => build.header([root, root])],
    ['version 2', () => build.header([root], { version: 2 })],
    ['a raw root', () => build.header([CID.createV1(0x55, root.multihash)])],
    ['a header that is a list', () => build.section(dagCbor.encode([1]))],
    ['a header that is null', () => build.section(dagCbor.encode(null))],
    ['a header that is no CBOR', () => build.section(Buffer.from([0xff]))],
    ['an empty header', () => Buffer.from([0])],
    ['a header of 5 kB', () => build.section(Buffer.alloc(5000))],
    ['an endless length', () => Buffer.alloc(20, 0xff)],
    ['a length not in its shortest form', () => Buffer.from([0xb9, 0x00])],
    ['an empty section', () => Buffer.concat([car, Buffer.from([0])])],
    ['a section without data', () => Buffer.concat([car, build.section(root.bytes)])],
  ])('is refused with %s', async (_, bytes) => {
    expect(await read([bytes()])).toBe('bad-car');
  });

  test.each<[string, CID]>([
    ['v0', CID.createV0(Digest.create(0x12, new Uint8Array(32)) as never)],
    ['sha-512', CID.createV1(0x71, Digest.create(0x13, new Uint8Array(64)))],
    ['identity', CID.createV1(0x71, Digest.create(0, new Uint8Array(32)))],
    ['a cut sha-256', CID.createV1(0x71, Digest.create(0x12, new Uint8Array(20)))],
    ['dag-pb', CID.createV1(0x70, Digest.create(0x12, new Uint8Array(32)))],
  ])('is refused with a CID of %s', async (_, cid) => {
    expect(await read([car, build.section(cid.bytes, Buffer.alloc(50))])).toBe('bad-cid');
  });

  test('leaves no file behind: it has no name while it is in use, and is closed after', async () => {
    const files = () => readdirSync('/proc/self/fd').length;
    const before = files();
    const repo = await openRepo([car], { tmpDir, spoolAboveBytes: 1 });
    expect(await readdir(tmpDir)).toEqual([]);
    expect(files()).toBe(before + 1);
    await repo[Symbol.asyncDispose]();
    await repo[Symbol.asyncDispose]();
    expect(files()).toBe(before);
    expect(() => [...repo.records()][0]!.json()).toThrow('disposed');
    expect(await read([car.subarray(0, 900)], { spoolAboveBytes: 1 })).toBe('truncated');
    expect(files()).toBe(before);
  });

  test('passes the faults of its source on as they are', async () => {
    const fault = new Error('reset by peer');
    async function* source() {
      yield car.subarray(0, 500);
      throw fault;
    }
    await expect(openRepo(source(), { tmpDir, spoolAboveBytes: 1 })).rejects.toBe(fault);
  });

  test('stops when it is told to, also where its source hangs, and lets the source go', async () => {
    const stop = new AbortController();
    let released = false;
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => queueMicrotask(() => stop.abort(new Error('enough')))),
        return: async () => {
          released = true;
          return { done: true, value: undefined };
        },
      }),
    };
    await expect(openRepo(source, { tmpDir, signal: stop.signal })).rejects.toThrow('enough');
    expect(released).toBe(true);
  });
});
