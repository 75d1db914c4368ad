import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort, ProcessError, spawnChild, startRedisServer } from './index.ts';
import { onFreePort } from './ports.ts';
import { findProgram } from './process.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-local-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('a child ends when its parent is killed', async () => {
  // The child holds a connection to us, which ends when it does.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connect = `require('node:net').connect(${(server.address() as AddressInfo).port}, '127.0.0.1')`;
  const index = new URL('./index.ts', import.meta.url).href;
  const code = `const { spawnChild } = await import(${JSON.stringify(index)});
    spawnChild(process.execPath, ['-e', ${JSON.stringify(connect)}]); setInterval(() => {}, 1000);`;
  const parent = spawnChild(process.execPath, ['--input-type=module', '-e', code]);
  const [child] = (await once(server, 'connection')) as [Socket];
  child.on('error', () => {}).resume();
  expect(child.readyState).toBe('open');
  const ended = once(child, 'close');
  await parent.stop('SIGKILL');
  await ended;
  server.close();
});

it('a program that ends before it is ready says what it printed', async () => {
  const child = spawnChild('sh', ['-c', 'echo the reason >&2; exit 3']);
  await expect(child.waitForLine((line) => line === 'ready')).rejects.toThrow(
    /ended with code 3\nthe reason/,
  );
  const none = spawnChild('/no/such/program', []);
  await expect(none.waitForLine((line) => line === 'ready')).rejects.toThrow(ProcessError);
});

it('a second Redis on the same data waits for the first one', async () => {
  const first = await startRedisServer({ folder, aof: true });
  const second = startRedisServer({ folder, aof: true, port: first.port });
  await first.stop();
  const server = await second;
  expect(server.port).toBe(first.port);
  await server.stop();
});

it('freePort gives the wanted port if nobody has it', async () => {
  const server = await startRedisServer({ folder });
  expect(await freePort(server.port)).not.toBe(server.port);
  await server.stop();
  expect(await freePort(server.port)).toBe(server.port);
});

it('a server whose port is taken between the look and the use starts on another one', async () => {
  const other = await startRedisServer({ folder });
  const tried: number[] = [];
  await using child = await onFreePort(undefined, async (port) => {
    tried.push(port);
    const taken = tried.length === 1 ? other.port : port;
    const args = ['--bind', '127.0.0.1', '--port', `${taken}`, '--save', ''];
    const started = spawnChild(findProgram('redis-server', 'valkey-server')!, args);
    await started.waitForLine((line) => /ready to accept connections/i.test(line));
    return started;
  });
  expect(child.running).toBe(true);
  expect(tried.length).toBe(2);
  await other.stop();
});
