import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { onFreePort } from './ports.ts';
import { waitForPrevious } from './previous.ts';
import { type Child, findProgram, spawnChild } from './process.ts';

export class RedisError extends Error {
  override name = 'RedisError';
}

export interface RedisOptions {
  /** Data folder; made if missing. */
  folder: string;
  /** Wanted port; another free one is taken if it is in use (see `RedisServer.port`). */
  port?: number;
  /** Append-only file with fsync every second; false keeps nothing across a restart. */
  aof?: boolean;
  /** `maxmemory` in bytes; with `noeviction` always. */
  maxMemory?: number;
  /** Further arguments, as `['--maxmemory-samples', '5']`. */
  args?: string[];
}

export interface RedisServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the server process ends, however. */
  readonly exited: Promise<unknown>;
  /** Orderly end; data on disk with `aof`. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Stops if running, and starts again on the same port and data. */
  restart(): Promise<void>;
}

/**
 * Starts redis-server or valkey-server from PATH on 127.0.0.1.
 * @throws RedisError when none of version 7.0 or newer is there, ProcessError when it does not come up.
 */
export async function startRedisServer(options: RedisOptions): Promise<RedisServer> {
  const program = redisProgram();
  mkdirSync(options.folder, { recursive: true });
  await waitForPrevious(join(options.folder, 'redis.pid'), '-server');
  const started = await onFreePort(options.port, async (port) => ({
    port,
    child: await launch(program, port, options),
  }));
  const { port } = started;
  let { child } = started;
  const server: RedisServer = {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid;
    },
    get exited() {
      return child.exited;
    },
    stop: () => child.stop('SIGTERM'),
    kill: () => child.stop('SIGKILL'),
    restart: async () => {
      await child.stop('SIGTERM');
      child = await launch(program, port, options);
    },
    [Symbol.asyncDispose]: () => child.stop('SIGTERM'),
  };
  return server;
}

function redisProgram(): string {
  const found = ['redis-server', 'valkey-server']
    .map((name) => findProgram(name))
    .filter((path) => path !== undefined);
  const usable = found.find((path) => {
    const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout ?? '';
    return Number(/v=(\d+)\./.exec(version)?.[1] ?? 7) >= 7;
  });
  if (usable !== undefined) return usable;
  throw new RedisError(
    found.length === 0
      ? 'neither redis-server nor valkey-server is on PATH'
      : `${found[0]} is older than 7.0`,
  );
}

async function launch(program: string, port: number, options: RedisOptions): Promise<Child> {
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: options.folder,
    pidfile: join(options.folder, 'redis.pid'),
    save: '',
    appendonly: options.aof === true ? 'yes' : 'no',
    appendfsync: 'everysec',
    // As deploy/redis/redis.conf: a rewrite while gigabytes pass is CPU that others need.
    'auto-aof-rewrite-min-size': '256mb',
    rdbcompression: 'no',
    maxmemory: options.maxMemory ?? 0,
    'maxmemory-policy': 'noeviction',
    daemonize: 'no',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const child = spawnChild(program, [...args, ...(options.args ?? [])]);
  await child.waitForLine((line) => /ready to accept connections/i.test(line));
  return child;
}
