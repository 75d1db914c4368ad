import { afterAll, beforeAll, expect, it } from 'vitest';
import { startRedis, type TestRedis } from '../../../test/support/index.ts';
import { checkRedis, connect, type Redis } from './connect.ts';
import { consume } from './consume.ts';
import { dead } from './dead.ts';
import { keysOf, readCursor } from './keys.ts';
import { lagOf } from './lag.ts';
import { Producer } from './producer.ts';
import { consumeNumbers, numbers, produceNumbers, range, until } from './testing.ts';

const slots = [
  [0, 5460],
  [5461, 10922],
  [10923, 16383],
];
let servers: TestRedis[];
let nodes: Redis[];
let redis: Redis;

/** Three masters, and a replica of each. */
beforeAll(async () => {
  const args = [
    '--cluster-enabled',
    'yes',
    '--cluster-node-timeout',
    '800',
    '--cluster-replica-validity-factor',
    '0',
  ];
  // The nodes' own port is 10,000 above.
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  servers = [];
  for (let i = 0; i < 6; i++) {
    servers.push(await startRedis({ port: port + i, args: [...args, '--repl-diskless-sync-delay', '0'] }));
  }
  nodes = servers.map((server) => connect(server.url));
  await Promise.all(slots.map(([from, to], i) => nodes[i]!.cluster('ADDSLOTSRANGE', from!, to!)));
  await Promise.all(nodes.slice(1).map((node) => node.cluster('MEET', '127.0.0.1', servers[0]!.port)));
  const known = async (node: Redis) => String(await node.cluster('INFO')).includes('cluster_known_nodes:6');
  await until(async () => (await Promise.all(nodes.map(known))).every(Boolean));
  const ids = await Promise.all(nodes.slice(0, 3).map((node) => node.cluster('MYID')));
  await Promise.all(ids.map((id, i) => nodes[3 + i]!.cluster('REPLICATE', id)));
  const ok = async (node: Redis) => String(await node.cluster('INFO')).includes('cluster_state:ok');
  await until(async () => (await Promise.all(nodes.map(ok))).every(Boolean));
  const linked = async (node: Redis) => (await node.info('replication')).includes('master_link_status:up');
  await until(async () => (await Promise.all(nodes.slice(3).map(linked))).every(Boolean));
  redis = connect(
    `redis+cluster://${servers
      .slice(0, 3)
      .map(({ port }) => `127.0.0.1:${port}`)
      .join(',')}`,
  );
});

afterAll(async () => {
  for (const client of [redis, ...nodes]) client.disconnect();
  await Promise.all(servers.map((server) => server.stop()));
});

it('appends, consumes, parks, buries and requeues on a cluster', async () => {
  await checkRedis(redis);
  // On three slots, of three nodes.
  for (const stream of ['firehose_live', 'repo_backfill', 'label_live']) {
    const keys = keysOf(redis, stream);
    const parked = new Set<number>();
    await using consumer = consumeNumbers({
      redis,
      stream: [keys.urgent, stream],
      maxAttempts: 2,
      retryMs: { base: 5, max: 5 },
      write: async ([entry]) => {
        if (entry!.item === 1) throw new Error('no');
        if (entry!.item !== 2 || parked.has(2)) return [];
        parked.add(2);
        return [{ entry: entry!, outcome: 'later', reason: 'x', afterMs: 10 }];
      },
    });
    const cursor = { host: 'relay', value: '100' };
    await new Producer(redis, stream, { highWaterMark: 50 }).append(numbers(0, 100), { cursor });
    await new Producer(redis, `${stream}:urgent`).append(numbers(100, 110));
    await until(() => new Set(consumer.written).size === 109);
    expect(await readCursor(redis, stream, 'relay')).toBe('100');
    await until(async () => (await dead.list(redis, stream)).letters.length === 1);
    const { letters } = await dead.list(redis, stream);
    expect(letters).toMatchObject([{ fields: { n: '1' }, attempts: 2, source: stream }]);
    expect(await dead.requeue(redis, stream, [letters[0]!.id])).toBe(1);
    await until(async () => (await dead.list(redis, stream)).letters.length === 1);
    expect(await lagOf(redis, stream, 'group')).toMatchObject({ length: 0, lag: 0, pending: 0, dead: 1 });
  }
});

it('refuses to read streams of different slots at once', async () => {
  const options = {
    redis,
    group: 'g',
    consumer: 'c',
    decode: String,
    write: async () => {},
    signal: AbortSignal.abort(),
  };
  await expect(consume({ ...options, stream: ['a', 'b'] })).rejects.toBeInstanceOf(RangeError);
});

it('goes on after the death of a node', async () => {
  const [stream, total] = ['failover', 4000];
  const producer = new Producer(redis, stream, { highWaterMark: 300 });
  await using consumer = consumeNumbers({ redis, stream, key: String, batchItems: 20 });
  const produce = produceNumbers(producer, redis, total);
  await until(() => consumer.written.length > total / 4);
  const slot = Number(await nodes[0]!.cluster('KEYSLOT', stream));
  await servers[slots.findIndex(([from, to]) => slot >= from! && slot <= to!)]!.kill();
  await produce;
  await until(() => new Set(consumer.written).size === total, { ms: 15_000 });
  expect([...new Set(consumer.written)].sort((a, b) => a - b)).toEqual(range(total));
}, 30_000);
