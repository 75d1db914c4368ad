import { fileURLToPath } from 'node:url';
import { type Child, freePort, nodeLimits, spawnChild } from '@headwater/local';
import { connect, isCluster, keysOf, type Redis } from '@headwater/streams';
import { until } from './wait.ts';

export type ServiceName = 'ingester' | 'repo-backfiller' | 'indexer';

/** Those, and what only looks at them: `headwater serve`. */
export type Program = ServiceName | 'console';

/** A service as operators run it: a process, its settings in the environment. */
export interface RunningService extends AsyncDisposable {
  readonly name: Program;
  readonly child: Child;
  /** Value of a metric, summed over its labels; `labels` narrows it, as `{ reason: 'truncated' }`. */
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  /** Waits until it says that it is ready. @throws when it ends before */
  ready(): Promise<void>;
  /** Orderly end. @throws when it does not end with code 0 */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export interface Place {
  redisUrl: string;
  databaseUrl: string;
  /** Base URL of the PLC directory. */
  plcUrl: string;
  /** Further settings. */
  env?: Record<string, string>;
  /** Arguments of Node, before the service's own file. */
  nodeArgs?: string[];
}

/** Settings that suit a network on loopback: nobody there needs to be spared. */
const SETTINGS = {
  HEADWATER_ALLOW_PRIVATE_ADDRESSES: 'true',
  INGESTER_LABELER_HOSTS: ',',
  INGESTER_BATCH_TIMEOUT_MS: '50',
  BACKFILLER_HOST_REQUESTS_PER_SECOND: '1000',
  BACKFILLER_HOST_CONCURRENCY: '10',
  LOG_LEVEL: 'info',
};

/** Starts a service and waits until it says that it is ready. */
export async function startService(name: Program, place: Place): Promise<RunningService> {
  const service = await spawnService(name, place);
  await service.ready();
  return service;
}

/** Starts a service and leaves it to itself. */
export async function spawnService(name: Program, place: Place): Promise<RunningService> {
  const port = await freePort();
  const { PATH, TMPDIR } = process.env;
  const env = {
    ...{ PATH, TMPDIR, ...SETTINGS, ...place.env },
    REDIS_URL: place.redisUrl,
    DATABASE_URL: place.databaseUrl,
    PLC_URL: place.plcUrl,
    METRICS_PORT: `${port}`,
  };
  const main = fileURLToPath(new URL(`../../services/${name}/src/main.ts`, import.meta.url));
  const args = [...nodeLimits, ...(place.nodeArgs ?? []), main, ...(name === 'console' ? ['serve'] : [])];
  const child = spawnChild(process.execPath, args, { env });
  return new Running(name, child, `http://127.0.0.1:${port}`);
}

class Running implements RunningService {
  readonly name: Program;
  readonly child: Child;
  private readonly url: string;

  constructor(name: Program, child: Child, url: string) {
    this.name = name;
    this.child = child;
    this.url = url;
  }

  async ready(): Promise<void> {
    const say = () => `${this.name} ready\n${this.child.output}`;
    await until(say, async () => {
      if (!this.child.running) throw new Error(`${this.name} ended at its start\n${this.child.output}`);
      return fetch(`${this.url}/readyz`).then(
        (response) => response.ok,
        () => false,
      );
    });
  }

  async metric(name: string, labels: Record<string, string> = {}): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const lines = text
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    const found = lines.filter((line) => wanted.every((label) => line.includes(label)));
    return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  async stop(): Promise<void> {
    if (!this.child.running) return;
    await this.child.stop('SIGTERM');
    const { code, signal } = await this.child.exited;
    if (code !== 0) throw new Error(`${this.name} ended with ${code ?? signal}\n${this.child.output}`);
  }

  async kill(): Promise<void> {
    await this.child.stop('SIGKILL');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.stop('SIGTERM', 10_000);
  }
}

const STREAMS = ['repo_backfill', 'repo_backfill:urgent', 'firehose_backfill', 'firehose_live', 'label_live'];

/**
 * Waits until every stream is empty, nothing is pending or parked, and `also` holds.
 * (Entries that are done are deleted, so an empty stream has nothing pending.)
 *
 * @param streams those to look at, where not all have a reader
 */
export async function untilDrained(
  redisUrl: string,
  also: () => boolean | Promise<boolean> = () => true,
  ms = 120_000,
  streams: readonly string[] = STREAMS,
): Promise<void> {
  const redis = connect(redisUrl, { name: 'test' });
  // In one step, of a cluster for each slot: an entry that comes back from its pause is never in neither place.
  const lots = isCluster(redis) ? streams.map((stream) => [stream]) : [streams];
  const waiting = async () => {
    const found = await Promise.all(lots.map((lot) => waitingIn(redis, lot)));
    return found.flat();
  };
  // Slots are looked at one after the other: what moves between them is found by the second look.
  const isEmpty = async () =>
    (await waiting()).length === 0 && (!isCluster(redis) || (await waiting()).length === 0);
  try {
    const say = async () =>
      `streams drained; waiting (stream, entries, parked): ${JSON.stringify(await waiting())}`;
    await until(say, async () => (await also()) && (await isEmpty()), ms);
  } finally {
    redis.disconnect();
  }
}

async function waitingIn(redis: Redis, streams: readonly string[]): Promise<[string, number, number][]> {
  const step = redis.multi();
  for (const { stream, later } of streams.map((name) => keysOf(redis, name))) step.xlen(stream).zcard(later);
  const counts = ((await step.exec()) ?? []).map(([error, count]) => {
    if (error !== null) throw error;
    return count as number;
  });
  return streams
    .map((stream, i): [string, number, number] => [stream, counts[2 * i]!, counts[2 * i + 1]!])
    .filter(([, length, later]) => length + later > 0);
}
