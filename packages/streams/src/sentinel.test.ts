import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startSingleRedis, type TestRedis } from '../../../test/support/redis.ts';
import { connect } from './connect.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, produceNumbers, range, until } from './testing.ts';

async function startSentinel(master: TestRedis) {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-sentinel-'));
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as { port: number };
  probe.close();
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    `sentinel monitor main 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds main 500',
    'sentinel failover-timeout main 5000',
  ];
  await writeFile(join(folder, 'sentinel.conf'), `${lines.join('\n')}\n`);
  const child = spawn('redis-server', [join(folder, 'sentinel.conf'), '--sentinel'], { stdio: 'ignore' });
  const stop = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    await rm(folder, { recursive: true });
  };
  return { port, [Symbol.asyncDispose]: stop };
}

it('goes on with the new master after a failover', async () => {
  await using master = await startSingleRedis();
  const follow = ['--replicaof', '127.0.0.1', String(master.port), '--repl-diskless-sync-delay', '0'];
  await using replica = await startSingleRedis({ args: follow });
  // A sentinel asks only every 10 s which replicas there are.
  const first = connect(master.url);
  await until(async () => (await first.info('replication')).includes('state=online'));
  first.disconnect();
  await using sentinel = await startSentinel(master);
  const watcher = connect(`redis://127.0.0.1:${sentinel.port}`);
  await until(async () =>
    String(await watcher.call('SENTINEL', 'replicas', 'main').catch(() => '')).includes(`${replica.port}`),
  );

  const [stream, total] = ['stream', 4000];
  const redis = connect(`redis+sentinel://127.0.0.1:${sentinel.port}/main`);
  const producer = new Producer(redis, stream, { highWaterMark: 300 });
  await using consumer = consumeNumbers({ redis, stream, key: String, batchItems: 20 });
  const produce = produceNumbers(producer, redis, total);
  await until(() => consumer.written.length > total / 4);
  await master.kill();
  await produce;
  await until(() => new Set(consumer.written).size === total, { ms: 15_000 });
  expect([...new Set(consumer.written)].sort((a, b) => a - b)).toEqual(range(total));
  await consumer.stop();
  redis.disconnect();
  watcher.disconnect();
}, 30_000);
