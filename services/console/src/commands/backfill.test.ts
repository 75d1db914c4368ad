import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { decodeRepoJob } from '@headwater/events';
import { connect, type Redis } from '@headwater/streams';
import postgres from 'postgres';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startRedis, type TestRedis, useDatabase } from '../../../../test/support/index.ts';
import { type Account, type Network, startNetwork } from '../../../../test/support/network.ts';
import { keyOf } from '../../../../test/support/redis.ts';

/** The command as an operator types it, against a real PDS. */
const database = useDatabase();
let network: Network;
let server: TestRedis;
let redis: Redis;
let sql: postgres.Sql;
let accounts: Account[];
let folder: string;

beforeAll(async () => {
  [network, server] = await Promise.all([startNetwork(), startRedis()]);
  redis = connect(server.url);
  sql = postgres(database.url, { max: 1 });
  folder = await mkdtemp(join(tmpdir(), 'backfill-command-'));
  accounts = [];
  for (let i = 0; i < 3; i++) accounts.push(await network.createAccount());
});
afterAll(async () => {
  redis.disconnect();
  await sql.end();
  await rm(folder, { recursive: true });
  await Promise.all([network.stop(), server.stop()]);
});
beforeEach(() => redis.del(keyOf('repo_backfill:urgent')));

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

async function headwater(...args: string[]): Promise<{ code: number; text: string }> {
  const env = {
    PATH: process.env['PATH'],
    REDIS_URL: server.url,
    DATABASE_URL: database.url,
    PLC_URL: network.plcUrl,
    HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
    INGESTER_RELAY_HOSTS: ',',
  };
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [main, ...args], { env });
    return { code: 0, text: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, text: stdout + stderr };
  }
}

async function jobs() {
  const entries = await redis.xrange(keyOf('repo_backfill:urgent'), '-', '+');
  return entries.map(([, [, repo]]) => decodeRepoJob({ repo: repo! }));
}

it('takes what a host lists, and says what is up to date', async () => {
  const [first] = accounts;
  const { data } = await first!.agent.com.atproto.sync.getLatestCommit({ did: first!.did });
  await sql`INSERT INTO headwater.repo (did, state, floor, head) VALUES (${first!.did}, 'complete', ${data.rev}, ${data.rev})`;
  const host = ['backfill', '--host', network.pdsUrl];
  expect((await headwater(...host, '--dry-run')).text).toBe(
    '2 repos would be handed over, 1 skipped as up to date\n',
  );
  expect(await jobs()).toEqual([]);
  await headwater(...host, '--reason', 'a test');
  expect((await jobs()).map(({ did }) => did).sort()).toEqual(
    accounts
      .slice(1)
      .map(({ did }) => did)
      .sort(),
  );
  const [row] = await sql`SELECT * FROM headwater.audit ORDER BY id DESC LIMIT 1`;
  expect(row).toMatchObject({ action: 'backfill', subject: network.pdsUrl, reason: 'a test' });
  expect((await headwater(...host, '--force')).text).toContain('3 repos handed over, 0 skipped');
  expect((await jobs()).at(-1)).toMatchObject({ reason: 'operator', force: true });
});

it('takes a file of DIDs, and no more than the limit', async () => {
  const path = join(folder, 'dids.txt');
  await writeFile(path, `# ours\n${accounts.map(({ did }) => `${did}\n`).join('\n')}`);
  expect((await headwater('backfill', '--file', path, '--limit', '2')).text).toContain('2 repos handed over');
  expect((await jobs()).map(({ did }) => did)).toEqual(accounts.slice(0, 2).map(({ did }) => did));
});

it('waits for quiet streams where asked', async () => {
  await redis.xadd('repo_backfill', '*', 'repo', '{}');
  let isOver = false;
  const running = headwater('backfill', '--did', accounts[0]!.did, '--wait-quiet').finally(() => {
    isOver = true;
  });
  await expect.poll(() => redis.exists('repo_backfill')).toBe(1);
  expect(await jobs()).toEqual([]);
  await redis.del('repo_backfill');
  await expect.poll(jobs, { timeout: 20_000 }).toHaveLength(1);
  expect(isOver).toBe(false);
  await redis.del(keyOf('repo_backfill:urgent'));
  expect((await running).code).toBe(0);
});

it('explains what it can not use', async () => {
  const wrong = async (...args: string[]) => (await headwater('backfill', ...args)).text;
  expect(await wrong()).toContain('--did, --file, --host or --collection');
  expect(await wrong('--did', 'alice')).toContain('alice is not a DID');
  expect(await wrong('--file', join(folder, 'none'))).toContain("can't be read");
  expect(await wrong('--host', 'http://127.0.0.1:1')).toContain("can't be listed");
  expect(await wrong('--collection', 'app.bsky.feed.post')).toContain('needs a --host');
  expect(await wrong('--did', accounts[0]!.did, '--limit', 'some')).toContain('whole number');
});

it('verify takes accounts by chance', async () => {
  const { code, text } = await headwater('verify', '--sample', '5');
  expect(text).toContain(accounts[0]!.did);
  expect(code).toBe(0);
});
