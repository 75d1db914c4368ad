import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { buildRepo, referenceRecords } from '../testing/reference.ts';
import { openRepo, type RepoSnapshot } from './snapshot.ts';

const tmpDir = tmpdir();

function listed(repo: RepoSnapshot) {
  return [...repo.records()].map((r) => ({ path: r.path, cid: r.cid, json: JSON.parse(r.json()) }));
}

describe('openRepo', () => {
  test.each([0, 1, 2, 50, 700])('reads a repo of %i records as the reference does', async (size) => {
    const posts = Array.from({ length: size }, (_, i): [string, object] => [
      `app.bsky.feed.${i % 3 ? 'post' : 'like'}/3k${String(i).padStart(11, '0')}`,
      { $type: 'app.bsky.feed.post', text: `hellö "${i}"\n\0`, n: -i, bytes: new Uint8Array([i & 255]) },
    ]);
    const built = await buildRepo(posts);
    await using repo = await openRepo([built.car], { tmpDir, did: built.did, key: built.key });
    expect(listed(repo)).toEqual(await referenceRecords(built.car));
    expect(repo.count).toBe(size);
    await using spooled = await openRepo([built.car], { tmpDir, spoolAboveBytes: 100 });
    expect(listed(spooled)).toEqual(listed(repo));
  });
});
