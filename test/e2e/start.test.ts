import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnChild } from '@headwater/local';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNetwork } from '../support/network.ts';

const main = fileURLToPath(new URL('../../packages/local/src/launcher/main.ts', import.meta.url));

/** What `npm start` runs after the set-up. */
async function launch(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; lines: string[] }> {
  const lines: string[] = [];
  const { PATH, TMPDIR, HOME } = process.env;
  const child = spawnChild(process.execPath, [main, '--exit', ...args], {
    env: { PATH, TMPDIR, HOME, ...env },
    onLine: (line) => lines.push(line),
  });
  const { code } = await child.exited;
  return { code, lines };
}

describe('npm start', () => {
  let data: string;
  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), 'headwater-start-'));
    // PostgreSQL must be able to enter it also when this runs as root.
    await chmod(data, 0o755);
  });
  afterAll(() => rm(data, { recursive: true, force: true }));

  it('shows the main job on a small network, and ends with an equal comparison', async () => {
    const { code, lines } = await launch(['--data', data]);
    const text = lines.join('\n');
    expect(text).toMatch(/24 repos listed: 24 fetched for the first time, 0 repos fetched again/);
    expect(text).toMatch(/40 changes made; in PostgreSQL after \d+ ms/);
    expect(text).toMatch(/repos +24 +24 +equal/);
    expect(text).toMatch(/all records .* equal/);
    expect(text).not.toMatch(/differs|undefined|NaN/);
    expect(code).toBe(0);
  }, 180_000);

  it('goes on with the same data and fetches no repo again', async () => {
    const { code, lines } = await launch(['--data', data]);
    const text = lines.join('\n');
    expect(text).toMatch(
      /24 repos listed: 0 fetched for the first time, 0 repos fetched again \(0 KiB read\)/,
    );
    expect(text).toMatch(/all records .* equal/);
    expect(code).toBe(0);
  }, 180_000);

  it('takes some repos and collections from a relay', async () => {
    await using network = await startNetwork();
    const [ann, bob] = [await network.createAccount('ann'), await network.createAccount('bob')];
    await ann.like(await ann.post('hello'));
    await bob.post('not asked for');
    const { code, lines } = await launch(
      ['--data', data, '--relay', network.pdsHost, '--did', ann.did, '--collection', 'app.bsky.feed.post'],
      { PLC_URL: network.plcUrl },
    );
    const text = lines.join('\n');
    expect(text).toMatch(/1 repos? complete/);
    expect(text).toMatch(/app\.bsky\.feed\.post +1 +1 +1 +equal/);
    expect(text).not.toMatch(/feed\.like|differs/);
    expect(code).toBe(0);
  }, 180_000);

  it('explains wrong arguments', async () => {
    const { code, lines } = await launch(['--did', 'did:plc:short']);
    expect(lines[0]).toBe('--did needs --relay HOST');
    expect(code).toBe(2);
  });
});
