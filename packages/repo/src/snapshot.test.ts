import { tmpdir } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { WriteOpAction } from '@atproto/repo';
import { describe, expect, test, vi } from 'vitest';
import { sectionsOf } from '../testing/blocks.ts';
import { randomRecords } from '../testing/network.ts';
import { random } from '../testing/random.ts';
import { type BuiltRepo, buildRepo, carOf, referenceRecords } from '../testing/reference.ts';
import { RepoError } from './errors.ts';
import { JsonBytes } from './json-bytes.ts';
import { type OpenRepoOptions, openRepo } from './snapshot.ts';
import { tidTime } from './tid.ts';

// A busy machine takes its time.
vi.setConfig({ testTimeout: 60_000 });

const tmpDir = tmpdir();

async function listed(car: Uint8Array, options: Partial<OpenRepoOptions> = {}) {
  await using repo = await openRepo([car], { tmpDir, ...options });
  const records = [...repo.records()].map((r) => ({ path: r.path, cid: r.cid, json: JSON.parse(r.json()) }));
  expect(repo.count).toBe(records.length);
  expect(repo.collections().reduce((sum, { count }) => sum + count, 0)).toBe(repo.count);
  return records;
}

async function expectEqual({ car, did, key }: BuiltRepo): Promise<void> {
  const expected = await referenceRecords(car);
  expect(await listed(car, { did, key })).toEqual(expected);
  expect(await listed(car, { did, key, spoolAboveBytes: 10_000 })).toEqual(expected);
}

describe('a repo that the reference library built', () => {
  test.each([
    [1, 0],
    [2, 1],
    [3, 2],
    [4, 17],
    [5, 150],
    [6, 1000],
    [7, 5000],
  ])(
    'reads as the reference reads it (seed %i, %i records)',
    async (seed, size) => {
      await expectEqual(await buildRepo(randomRecords(seed, size)));
    },
    30_000,
  );

  test('reads so whatever was read before it, and beside it', async () => {
    const built = await Promise.all(
      [31, 32, 33].map((seed) => buildRepo(randomRecords(seed, 40 * (seed - 30)))),
    );
    const texts = async ({ car }: BuiltRepo) => (await referenceRecords(car)).map(({ json }) => json);
    const [first, second, third] = built as [BuiltRepo, BuiltRepo, BuiltRepo];
    const open = ({ car }: BuiltRepo) => openRepo([car], { tmpDir });
    const kept = await open(first);
    const ended = await open(second);
    await ended[Symbol.asyncDispose]();
    await ended[Symbol.asyncDispose]();
    const opened = [kept, ...(await Promise.all([open(third), open(second)]))];
    const read = opened.map((repo) => [...repo.records()].map((record) => JSON.parse(record.json())));
    expect(read).toEqual([await texts(first), await texts(third), await texts(second)]);
    for (const repo of opened) await repo[Symbol.asyncDispose]();
    expect(() => [...ended.records()].map((record) => record.json())).toThrow('disposed of');
  });

  test.each([11, 12])('reads so after updates and deletes too (seed %i)', async (seed) => {
    const { int } = random(seed);
    const built = await buildRepo(randomRecords(seed, 120));
    let { repo } = built;
    const paths = [...randomRecords(seed, 120).keys()];
    for (const path of paths.filter(() => int(3) > 0)) {
      const [collection, rkey] = path.split('/') as [never, string];
      const action = int(2) ? WriteOpAction.Update : WriteOpAction.Delete;
      repo = await repo.applyWrites(
        { action, collection, rkey, record: { now: int(1e9) } } as never,
        built.keypair,
      );
    }
    await expectEqual({ ...built, repo, car: await carOf(repo, built.storage) });
  });

  test('is refused when it is cut at any block, and read in any order of them', async () => {
    const built = await buildRepo(randomRecords(21, 150));
    const sections = sectionsOf(built.car);
    const expected = await listed(built.car);
    for (let n = 0; n < sections.length; n++) {
      const cut = openRepo(sections.slice(0, n), { tmpDir });
      await expect(cut).rejects.toThrow(expect.objectContaining({ name: 'RepoError' }));
    }
    const [header, ...blocks] = sections;
    expect(await listed(Buffer.concat([header!, ...blocks.reverse()]))).toEqual(expected);
    for (let n = 0; n < blocks.length; n += 7) {
      const holed = openRepo([header!, ...blocks.toSpliced(n, 1)], { tmpDir });
      await expect(holed).rejects.toThrow(expect.objectContaining({ reason: 'missing-block' }));
    }
  });

  test('is refused for another account or key, and can be held against a key later', async () => {
    const built = await buildRepo(randomRecords(22, 5));
    const { key: otherKey } = await buildRepo([]);
    const open = (options: Partial<OpenRepoOptions>) => openRepo([built.car], { tmpDir, ...options });
    await expect(open({ did: 'did:plc:other' })).rejects.toMatchObject({ reason: 'wrong-did' });
    await expect(open({ key: otherKey })).rejects.toMatchObject({ reason: 'bad-signature' });
    await expect(open({ key: 'did:key:zNone' })).rejects.toMatchObject({ reason: 'bad-key' });
    await using repo = await open({});
    expect(repo.verify(otherKey)).toBe(false);
    expect(repo.verify(built.key)).toBe(true);
    expect(repo).toMatchObject({ did: built.did, rev: built.repo.commit.rev, bytes: built.car.length });
    expect(repo.commit).toBe(built.repo.cid.toString());
    expect(repo.data).toBe(built.repo.commit.data.toString());
  });

  test('is refused with a rev ahead of the clock, and read five minutes before it', async () => {
    const { car, repo } = await buildRepo(randomRecords(24, 5));
    const made = tidTime(repo.commit.rev);
    await expect(openRepo([car], { tmpDir, now: made - 301_000 })).rejects.toMatchObject({
      reason: 'future-rev',
    });
    await using opened = await openRepo([car], { tmpDir, now: made - 299_000 });
    expect(opened.count).toBe(5);
  });

  test('writes its records as bytes too', async () => {
    const { car } = await buildRepo(randomRecords(25, 100));
    await using repo = await openRepo([car], { tmpDir });
    const bytes = new JsonBytes();
    for (const record of repo.records()) {
      record.writeJson(bytes);
      expect(bytes.takeBytes().toString()).toBe(record.json());
      record.writeCid(bytes);
      expect(bytes.takeText()).toBe(record.cid);
    }
  });

  test('throws nothing but RepoError, and ends, whatever is done to its bytes', async () => {
    const { int } = random(23);
    const { car } = await buildRepo(randomRecords(23, 30));
    for (let n = 0; n < 1000; n++) {
      const bytes = Buffer.from(car);
      for (let i = int(3); i >= 0; i--) bytes[int(bytes.length)] = int(256);
      const from = int(bytes.length);
      const changed = int(3)
        ? bytes
        : Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + int(60))]);
      try {
        await listed(changed);
        expect(changed.equals(car)).toBe(true);
      } catch (error) {
        if (!(error instanceof RepoError)) throw error;
      }
    }
  });
});

test('lets go of the chunks of a CAR that is in a file by then', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const { car } = await buildRepo(randomRecords(21, 2000));
  const chunks: WeakRef<Uint8Array>[] = [];
  async function* source() {
    for (let at = 0; at < car.length; at += 4096) {
      const chunk = Uint8Array.from(car.subarray(at, at + 4096));
      chunks.push(new WeakRef(chunk));
      yield chunk;
    }
  }
  const options = { tmpDir, spoolAboveBytes: 10_000, signal: new AbortController().signal };
  await using _repo = await openRepo(source(), options);
  collect();
  await setImmediate();
  collect();
  expect(chunks.length).toBeGreaterThan(50);
  expect(chunks.filter((chunk) => chunk.deref() !== undefined).length).toBeLessThan(5);
});
