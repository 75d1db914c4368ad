import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type PostgresServer,
  type RedisServer,
  startPostgresServer,
  startRedisServer,
} from '@headwater/local';
import { Random } from '@headwater/local/random';
import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { runDisorder, summarize } from '../disorder/run.ts';
import { applyMigrations } from '../support/migrations.ts';
import { until } from '../support/wait.ts';

const SEED = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** How long the network lives between two blows, at most. */
const CALM_MS = 2_500;

it(`servers that die, forget a second, cut connections, run out of disk, seed ${SEED}`, async () => {
  const servers = await Servers.start();
  onTestFinished(() => servers.stop());
  const random = new Random(SEED);
  const blows: Record<string, () => Promise<void>> = {
    'Redis restarted': () => servers.redis.restart(),
    'Redis killed, its last second lost': () => servers.forgetSecond(),
    'PostgreSQL killed': () => servers.killPostgres(),
    'connections cut': () => servers.cut(),
    'disk full': () => servers.fillDisk(),
  };
  const report = await runDisorder({
    seed: SEED,
    repos: 40,
    recordsPerRepo: 20,
    operations: 2000,
    perSecond: 60,
    servers: { redisUrl: servers.redis.url, databaseUrl: servers.postgres.url },
    meanwhile: async () => {
      for (const [name, blow] of [...Object.entries(blows), ...Object.entries(blows)]) {
        await sleep(random.between(500, CALM_MS));
        await blow();
        console.log(name);
      }
    },
    quietMs: 120_000,
  });
  console.log(`seed ${SEED}: ${report.records} records, ${report.seconds.quiet.toFixed(1)} s to quiet`);
  expect(servers.lostBytes).toBeGreaterThan(0);
  expect(summarize(report), `repeat with TEST_SEED=${SEED} pnpm test:long servers`).toBe('');
}, 300_000);

/** A Redis and a PostgreSQL on a small disk of their own (where we may mount one). */
class Servers {
  readonly folder: string;
  readonly redis: RedisServer;
  readonly postgres: PostgresServer;
  lostBytes = 0;
  readonly #isDisk: boolean;

  constructor(folder: string, isDisk: boolean, redis: RedisServer, postgres: PostgresServer) {
    this.folder = folder;
    this.#isDisk = isDisk;
    this.redis = redis;
    this.postgres = postgres;
  }

  static async start(): Promise<Servers> {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-servers-'));
    const isDisk = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=600m', 'tmpfs', folder]).status === 0;
    if (!isDisk) console.log('no disk can be mounted here: none runs full');
    await chmod(folder, 0o755);
    for (const name of ['redis', 'postgres']) await mkdir(join(folder, name));
    const redis = await startRedisServer({ folder: join(folder, 'redis'), aof: true });
    // What a killed process has written the system still has: no power cut here.
    const settings = { fsync: 'off', max_connections: 100, max_wal_size: '128MB', min_wal_size: '32MB' };
    const postgres = await startPostgresServer({ folder: join(folder, 'postgres'), settings });
    await applyMigrations(postgres.url);
    return new Servers(folder, isDisk, redis, postgres);
  }

  async stop(): Promise<void> {
    await this.redis.stop();
    await this.postgres.stop();
    if (this.#isDisk) spawnSync('umount', [this.folder]);
    await rm(this.postgres.folder, { recursive: true, force: true });
    await rm(this.folder, { recursive: true, force: true });
  }

  /** SIGKILL, and a log that ends where it did a second before, in the middle of a step as like as not. */
  async forgetSecond(): Promise<void> {
    const folder = join(this.folder, 'redis', 'appendonlydir');
    const log = join(folder, (await readdir(folder)).find((name) => name.endsWith('.incr.aof'))!);
    const { size } = await stat(log);
    await sleep(1000);
    await this.redis.kill();
    this.lostBytes += (await stat(log)).size - size;
    await truncate(log, size);
    await this.redis.restart();
  }

  async killPostgres(): Promise<void> {
    await this.postgres.kill();
    await this.#revive();
  }

  /** Every connection of the services, whatever is on its way. */
  async cut(): Promise<void> {
    const { port } = this.redis;
    for (let i = 0; i < 5; i++) {
      spawnSync('redis-cli', ['-p', `${port}`, 'CLIENT', 'KILL', 'TYPE', 'normal']);
      await this.#query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE pid <> pg_backend_pid() AND application_name LIKE 'headwater%'`,
      );
      await sleep(100);
    }
  }

  /** No byte is left for two seconds. A PostgreSQL that gave up over it is started again. */
  async fillDisk(): Promise<void> {
    if (!this.#isDisk) return;
    const ballast = join(this.folder, 'ballast');
    const file = await open(ballast, 'w');
    const megabyte = Buffer.alloc(2 ** 20);
    try {
      for (const end = Date.now() + 2_000; Date.now() < end; ) {
        const full = await file.write(megabyte).catch(() => undefined);
        if (full === undefined) await sleep(20);
      }
    } finally {
      await file.close();
      await rm(ballast);
    }
    await this.#revive();
  }

  async #revive(): Promise<void> {
    const answers = () =>
      this.#query('SELECT 1').then(
        () => true,
        () => false,
      );
    // What is left of the old one may hold its memory for a moment.
    const again = async () => (await answers()) || (await this.postgres.restart().then(answers, () => false));
    await until('PostgreSQL is back', again, 60_000);
  }

  async #query(sql: string): Promise<void> {
    const client = new pg.Client({ connectionString: this.postgres.url });
    client.on('error', () => {});
    await client.connect();
    await client.query(sql).finally(() => client.end());
  }
}
