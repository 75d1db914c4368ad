import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, keysOf, type Redis } from '@headwater/streams';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Composition, makeSecrets, redisSettings } from '../deploy/composition.ts';
import type { Container } from '../deploy/container.ts';
import { compareWithTruth } from '../disorder/compare.ts';
import { wrongLetters } from '../disorder/dead-letters.ts';
import { untilHeard, untilQuiet } from '../disorder/quiet.ts';
import { createNetwork, type Network } from '../simulator/index.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { until } from '../support/wait.ts';

const SEED = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Stream, group and copy of each service that has work in hand. */
const WORKERS = [
  ['repo_backfill', 'repo_backfill_group', 'repo-backfiller-1'],
  ['firehose_backfill', 'firehose_group', 'indexer-backfill-1'],
  ['firehose_live', 'firehose_group', 'indexer-live-1'],
] as const;

const GROUPS = [
  ...WORKERS.map(([stream, group]) => [stream, group] as const),
  ['repo_backfill:urgent', 'repo_backfill_group'],
  ['label_live', 'label_group'],
] as const;

let folder: string;
let redis: TestRedis;
let database: TestDatabase;
let network: Network;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-compose-'));
  const secret = makeSecrets(folder);
  const password = secret('redis_auth').replace('requirepass ', '');
  redis = await startRedis({ aof: true, args: [...redisSettings(folder), '--requirepass', password] });
  database = await createDatabase('template0');
  // As in production; the server of the tests keeps nothing.
  await onDatabase(`ALTER DATABASE ${database.name} SET synchronous_commit = on`);
  await writeFile(join(folder, 'secrets/redis_url'), here(secret('redis_url'), redis));
  await writeFile(join(folder, 'secrets/database_url'), database.url);
  network = await createNetwork({
    seed: SEED,
    repos: 120,
    recordsPerRepo: 30,
    hosts: 4,
    labelers: 1,
    clock: 'wall',
  });
});

afterAll(async () => {
  await network?.close();
  await redis?.stop();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

it(`all of docker-compose.prod.yml, of each service that works a copy killed at work, seed ${SEED}`, async ({
  onTestFinished,
}) => {
  const client = connect(here(makeSecrets(folder)('redis_url'), redis), { name: 'test' });
  onTestFinished(() => client.disconnect());
  const up = await Composition.up({
    folder,
    ports: { redis: redis.port, postgres: Number(new URL(database.url).port) },
    settings: settingsFor(network),
    scale: { 'repo-backfiller': 2, 'indexer-backfill': 2 },
  });
  // Also where the time is up, which ends no function: nothing is to go on beside another try.
  onTestFinished(() => up.stop());
  const over = new AbortController();
  onTestFinished(() => over.abort());
  const lost = await liveWhileKilled(up, client, over);
  console.log(`seed ${SEED}: in hand of what was killed: ${JSON.stringify(lost)}`);
  const options = {
    redis: client,
    databaseUrl: database.url,
    network,
    ms: 60_000,
    check: () => expect(up.complaints).toEqual([]),
  };
  await untilHeard(options);
  network.settle();
  await untilQuiet(options);
  await expectInOrder(up, client);
  await up.stop();
  expect(up.complaints).toEqual([]);
}, 300_000);

/** The network lives on while a copy of each service is killed with work in hand. */
async function liveWhileKilled(
  up: Composition,
  client: Redis,
  over: AbortController,
): Promise<Record<string, number>> {
  const living = network.run({ operations: 100_000, perSecond: 150, signal: over.signal });
  const lost: Record<string, number> = {};
  for (const [stream, group, name] of WORKERS) {
    const container = up.containers.get(name)!;
    const inHand = () => pendingOf(client, stream, group, name);
    while (!lost[name]) {
      // Another word from every repo sees to it that there is work, also where it was done before the blow.
      if (stream !== 'firehose_live') await listAgain(client);
      await until(`${name} has work in hand`, () => caught(container, inHand));
      await container.kill();
      lost[name] = await inHand();
    }
    expect(container.restarts).toBeGreaterThan(0);
  }
  over.abort();
  await living;
  return lost;
}

/**
 * Stops a copy with work in hand, so that it has it still when the blow comes: one that was done meanwhile would be
 * killed for nothing, and every restart comes later than the one before.
 */
async function caught(container: Container, inHand: () => Promise<number>): Promise<boolean> {
  if (!container.freeze()) return false;
  if ((await inHand()) > 0) return true;
  container.thaw();
  return false;
}

async function listAgain(client: Redis): Promise<void> {
  const { stream } = keysOf(client, 'repo_backfill');
  for (const { did } of network.world.accounts) {
    const repo = { did, host: '', rev: '', active: true, force: true, reason: 'operator' };
    await client.xadd(stream, '*', 'repo', JSON.stringify(repo));
  }
}

async function pendingOf(client: Redis, stream: string, group: string, consumer?: string): Promise<number> {
  const rows = (await client.xpending(keysOf(client, stream).stream, group, '-', '+', 1000)) as [
    string,
    string,
  ][];
  return rows.filter(([, owner]) => consumer === undefined || owner === consumer).length;
}

async function expectInOrder(up: Composition, client: Redis): Promise<void> {
  expect(await compareWithTruth(database.url, network), `repeat with TEST_SEED=${SEED}`).toEqual([]);
  expect(await wrongLetters(client, network)).toEqual([]);
  for (const [stream, group] of GROUPS) expect(await pendingOf(client, stream, group), stream).toBe(0);
  // Who was killed may be on its way up while the others have done its work.
  const ailing = () =>
    [...up.containers.values()].filter(({ copy, health }) => copy.probe && health !== 'healthy');
  const say = () => `all are healthy: ${ailing().map(({ copy, health }) => `${copy.name} ${health}`)}`;
  await until(say, () => ailing().length === 0, 30_000);
  const status = await up.run('headwater', ['status', '--json']);
  expect(JSON.parse(status.output)).toMatchObject({ gaps: 0 });
  const doctor = await up.run('headwater', ['doctor']);
  expect(doctor.code, doctor.output).toBe(0);
}

function settingsFor({ plcUrl, relayUrl, relayUrls, labelers }: Network): Record<string, string> {
  return {
    PLC_URL: plcUrl,
    HANDLE_RESOLVER_URL: relayUrl,
    INGESTER_RELAY_HOSTS: relayUrls.join(','),
    INGESTER_LABELER_HOSTS: labelers.map(({ did }) => did).join(','),
    HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
    // Nobody on loopback has to be spared, and turns that a killed process held come back after a minute.
    BACKFILLER_HOST_REQUESTS_PER_SECOND: '1000',
    BACKFILLER_HOST_CONCURRENCY: '1000',
    INGESTER_RELIST_MS: '1500',
    INDEXER_GAP_GRACE_MS: '500',
  };
}

async function onDatabase(statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(statement);
  await client.end();
}

/** The same URL with the place that Redis has here; a cluster is named in the secret, as docs/operations.md says. */
function here(url: string, { url: place }: TestRedis): string {
  return place.replace('://', url.slice(url.indexOf('://'), url.indexOf('@') + 1));
}
