import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '@headwater/streams';
import type { Redis } from 'ioredis';
import postgres from 'postgres';
import { freePort } from '../ports.ts';
import { ProcessError, spawnChild } from '../process.ts';
import type { Display } from './display.ts';
import { type Servers, startServers } from './servers.ts';
import { Service } from './services.ts';

export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

export type ServiceName = 'indexer' | 'repo-backfiller' | 'ingester';

/** One process of each service: one that comes back takes up at once what it had in hand. */
export const ALONE = {
  INDEXER_CONSUMER: 'indexer',
  BACKFILLER_CONSUMER_NAME: 'repo-backfiller',
  INGESTER_LEASE_MS: '3000',
};

export interface PipelineOptions {
  folder: string;
  display: Display;
}

/** Servers, migrations and the three services, each a process of its own. */
export class Pipeline {
  readonly options: PipelineOptions;
  readonly schema = process.env['DATABASE_SCHEMA'] || 'bsky';
  private servers: Servers | undefined;
  private sqlClient: postgres.Sql | undefined;
  private redisClient: Redis | undefined;
  private readonly services: Service[] = [];
  private readonly ports = new Map<string, number>();
  private stopped: Promise<void> | undefined;
  private readonly failure = Promise.withResolvers<never>();

  constructor(options: PipelineOptions) {
    this.options = options;
    this.failure.promise.catch(() => {});
  }

  /** PostgreSQL with the newest schema, and Redis. */
  async startServers(signal: AbortSignal): Promise<void> {
    this.servers = await startServers(this.options.folder);
    this.failWhenEnded('PostgreSQL', this.servers.postgres?.exited);
    this.failWhenEnded('Redis', this.servers.redis?.exited);
    signal.throwIfAborted();
    await this.migrate();
    const quiet = { onnotice: () => {}, max: 4, connection: { application_name: 'headwater npm start' } };
    this.sqlClient = postgres(this.servers.databaseUrl, quiet);
    this.redisClient = connect(this.servers.redisUrl, { name: 'headwater-start' });
  }

  get sql(): postgres.Sql {
    return this.sqlClient!;
  }

  get redis(): Redis {
    return this.redisClient!;
  }

  get databaseUrl(): string {
    return this.servers!.databaseUrl;
  }

  get redisUrl(): string {
    return this.servers!.redisUrl;
  }

  /** Rejects when something that everything rests on has ended; never resolves. */
  get failed(): Promise<never> {
    return this.failure.promise;
  }

  /**
   * Starts services, the last of the water's way first.
   *
   * @param defaults settings that the environment may override
   * @param fixed settings that it may not
   */
  async startServices(
    names: ServiceName[],
    defaults: Record<string, string>,
    fixed: Record<string, string>,
  ): Promise<void> {
    for (const name of names) {
      const env = {
        ...defaults,
        ...process.env,
        ...fixed,
        DATABASE_URL: this.databaseUrl,
        REDIS_URL: this.redisUrl,
        METRICS_PORT: `${await this.metricsPort(name)}`,
      };
      const service = new Service({
        name,
        main: join(ROOT, `services/${name}/src/main.ts`),
        env,
        logs: join(this.options.folder, 'logs'),
        say: (line) => this.options.display.line(line),
      });
      service.finished.catch((error) => this.failure.reject(error));
      this.services.push(service);
    }
  }

  /** A metric of a service, summed over its labels; 0 when it can't be had. */
  async metric(service: string, name: string): Promise<number> {
    const url = `http://127.0.0.1:${this.ports.get(service)}/metrics`;
    const text = await fetch(url).then(
      (response) => response.text(),
      () => '',
    );
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  /** Ends everything, the first of the water's way first. Safe to call twice. */
  stop(): Promise<void> {
    this.stopped ??= this.stopInOrder();
    return this.stopped;
  }

  /** Ends the services at once; what they had in hand comes again at the next start. */
  async kill(): Promise<void> {
    await Promise.all(this.services.map((service) => service.kill()));
  }

  private async stopInOrder(): Promise<void> {
    const [indexer, ...before] = this.services;
    await Promise.all(before.map((service) => service.stop()));
    await indexer?.stop();
    this.redisClient?.disconnect();
    await this.sqlClient?.end({ timeout: 2 });
    await this.servers?.stop();
  }

  private async metricsPort(service: string): Promise<number> {
    const port = await freePort();
    this.ports.set(service, port);
    return port;
  }

  private async migrate(): Promise<void> {
    const main = join(ROOT, 'packages/database/src/migrate-main.ts');
    const env = { ...process.env, DATABASE_URL: this.databaseUrl, REDIS_URL: this.redisUrl };
    const child = spawnChild(process.execPath, [main], { env });
    const { code } = await child.exited;
    if (code !== 0) throw new ProcessError(`the migrations failed\n${child.output}`, 'migrate', child.output);
  }

  private failWhenEnded(name: string, exited: Promise<unknown> | undefined): void {
    exited?.then(() => {
      if (this.stopped === undefined) this.failure.reject(new ProcessError(`${name} has ended`, name, ''));
    });
  }
}
