import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { freePort, ProcessError, spawnChild, startRedisServer } from './index.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-local-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it('a child ends when its parent is killed', async () => {
  const index = new URL('./index.ts', import.meta.url).href;
  const code = `const { spawnChild } = await import(${JSON.stringify(index)});
    console.log('child', spawnChild('sleep', ['600']).pid); setInterval(() => {}, 1000);`;
  const parent = spawnChild(process.execPath, ['--input-type=module', '-e', code]);
  const pid = Number((await parent.waitForLine((line) => line.startsWith('child'))).split(' ')[1]);
  expect(isAlive(pid)).toBe(true);
  await parent.stop('SIGKILL');
  for (let i = 0; i < 200 && isAlive(pid); i++) await sleep(10);
  expect(isAlive(pid)).toBe(false);
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
