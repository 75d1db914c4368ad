import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '@headwater/local/random';
import { connect, keysOf } from '@headwater/streams';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addCrowd } from '../support/crowd.ts';
import { createDatabase, type TestDatabase } from '../support/postgres.ts';
import { startRedis, type TestRedis } from '../support/redis.ts';
import { RepoHost } from '../support/repos.ts';
import {
  type Place,
  type RunningService,
  type ServiceName,
  startService,
  untilDrained,
} from '../support/services.ts';
import { diffDumps, dumpTables } from '../support/tables.ts';

const REPOS = 220;
const KILLS = 8;
const SEED = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

describe(`a backfill of ${REPOS} repos, seed ${SEED} (TEST_SEED)`, () => {
  const random = new Random(SEED);
  let host: RepoHost;
  let undisturbed: Record<string, string[]>;

  beforeAll(async () => {
    host = await RepoHost.start();
    await addCrowd(host, REPOS, random);
  });
  afterAll(() => host?.[Symbol.asyncDispose]());

  it('ends with every record in its tables', async () => {
    await using run = await Run.start(host);
    await run.backfill();
    undisturbed = await dumpTables(run.database.url);
    const records = [...host.repos.values()].flatMap((repo) => repo.records);
    expect(undisturbed['record']).toHaveLength(records.length);
    expect(undisturbed['actor']).toHaveLength(REPOS);
    expect(undisturbed['headwater.repo']!.every((line) => line.includes('"state": "complete"'))).toBe(true);
    expect(await run.deadLetters()).toEqual([]);
  }, 120_000);

  it('ends with the same tables when backfiller and indexer are killed again and again', async () => {
    host.delayMs = 60;
    await using run = await Run.start(host);
    const kills = run.killRepeatedly(KILLS, random);
    await run.backfill(() => kills.done);
    await kills.finished;
    console.log(`seed ${SEED}: killed ${kills.log.join(', ')}`);
    const killed = await dumpTables(run.database.url);
    expect(diffDumps(undisturbed, killed)).toEqual([]);
    expect(await run.deadLetters()).toEqual([]);
  }, 240_000);
});

/** One backfill of the host on a Redis and a database of its own. */
class Run implements AsyncDisposable {
  readonly database: TestDatabase;
  private readonly host: RepoHost;
  private readonly redis: TestRedis;
  private readonly running = new Map<ServiceName, RunningService>();

  private constructor(host: RepoHost, database: TestDatabase, redis: TestRedis) {
    this.host = host;
    this.database = database;
    this.redis = redis;
  }

  static async start(host: RepoHost): Promise<Run> {
    const run = new Run(host, await createDatabase(), await startRedis({ aof: true }));
    await Promise.all((['repo-backfiller', 'indexer'] as const).map((name) => run.launch(name)));
    return run;
  }

  /** Enumerates the host, and waits until all is done and `over` holds. */
  async backfill(over: () => boolean = () => true): Promise<void> {
    await this.launch('ingester');
    const redis = connect(this.redis.url);
    try {
      const cursor = keysOf(redis, 'repo_backfill').cursor(this.host.host);
      await untilDrained(
        this.redis.url,
        async () => over() && (await redis.get(cursor)) === '!ingester-done',
        200_000,
      );
    } finally {
      redis.disconnect();
    }
  }

  killRepeatedly(times: number, random: Random): { done: boolean; finished: Promise<void>; log: string[] } {
    const state = { done: false, finished: Promise.resolve(), log: [] as string[] };
    const kill = async () => {
      for (let i = 0; i < times; i++) {
        const name = (['repo-backfiller', 'indexer'] as const)[i % 2]!;
        const ms = random.between(5, 700);
        await sleep(ms);
        await this.running.get(name)!.kill();
        state.log.push(`${name} after ${ms} ms`);
        await this.launch(name);
      }
      state.done = true;
    };
    state.finished = kill();
    return state;
  }

  async deadLetters(): Promise<string[]> {
    const redis = connect(this.redis.url);
    const found = await Promise.all(
      ['repo_backfill', 'firehose_backfill'].map((stream) =>
        redis.xrange(keysOf(redis, stream).dead, '-', '+'),
      ),
    );
    redis.disconnect();
    return found.flat().map((entry) => JSON.stringify(entry));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.running.values()].map((service) => service[Symbol.asyncDispose]()));
    await this.redis.stop();
    await this.database.drop();
  }

  private async launch(name: ServiceName): Promise<void> {
    const place: Place = {
      redisUrl: this.redis.url,
      databaseUrl: this.database.url,
      plcUrl: this.host.url,
      env: {
        INGESTER_RELAY_HOSTS: this.host.host,
        INGESTER_MODE: 'backfill',
        // A process that comes back under its name takes up at once what it had in hand.
        INDEXER_CONSUMER: 'indexer',
        BACKFILLER_CONSUMER_NAME: 'backfiller',
      },
    };
    this.running.set(name, await startService(name, place));
  }
}
