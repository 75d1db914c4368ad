import { databasePool, type Pool } from '@headwater/database';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { type TestRedis, useDatabase, useRedis } from '../../../../test/support/index.ts';
import { empty } from '../../../../test/support/redis.ts';
import { FakeNetwork } from './fake-network.ts';
import { Harness, type HarnessOptions } from './harness.ts';

/** What tests of misbehaving hosts share: servers for the file, a network for each test. */
export interface Used {
  readonly server: TestRedis;
  readonly pool: Pool;
  readonly network: FakeNetwork;
  /** A backfiller that is not started. */
  harnessOf(options?: Partial<HarnessOptions>): Harness;
  /** A backfiller with an empty Redis. */
  start(options?: Partial<HarnessOptions>): Promise<Harness>;
  /** State and reason of a repo; undefined where nothing is kept of it. */
  reasonOf(did: string): Promise<{ state: string; reason: string | null } | undefined>;
}

/** To be called once, at the top of a test file. */
export function useBackfiller(): Used {
  const database = useDatabase();
  const redis = useRedis();
  let pool: Pool;
  let network: FakeNetwork;
  beforeAll(() => {
    pool = databasePool({ url: database.url, max: 2, applicationName: 'test' });
  });
  afterAll(() => pool.end());
  beforeEach(async () => {
    network = await FakeNetwork.start();
  });
  afterEach(async () => {
    await network[Symbol.asyncDispose]();
  });
  const harnessOf = (options: Partial<HarnessOptions> = {}) =>
    new Harness({
      redisUrl: redis.server.url,
      databaseUrl: database.url,
      plcUrl: network.plc.url,
      ...options,
    });
  return {
    get server() {
      return redis.server;
    },
    get pool() {
      return pool;
    },
    get network() {
      return network;
    },
    harnessOf,
    async start(options) {
      const harness = harnessOf(options);
      await empty(harness.redis);
      return harness.start();
    },
    reasonOf: async (did) =>
      (await pool.query('SELECT state, reason FROM headwater.repo WHERE did = $1', [did])).rows[0],
  };
}

/** Those of a host's requests that fetch a repo. */
export const getRepos = (requests: string[]) => requests.filter((url) => url.includes('getRepo'));
