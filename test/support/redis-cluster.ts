import { connect, type Redis } from '@headwater/streams';
import { startSingleRedis, type TestRedis, type TestRedisOptions } from './redis.ts';
import { until } from './wait.ts';

/** Its `url` names every master; it stops, dies and restarts as a whole. */
export interface TestCluster extends TestRedis {
  /** Masters first, each with a third of the slots; then a replica of each, where there are any. */
  readonly servers: readonly TestRedis[];
  /** Who began as the master of a key. */
  masterOf(key: string): Promise<TestRedis>;
}

const thirds = [
  [0, 5460],
  [5461, 10922],
  [10923, 16383],
] as const;

const settings = [
  ['--cluster-enabled', 'yes'],
  ['--cluster-node-timeout', '800'],
  ['--cluster-replica-validity-factor', '0'],
  ['--repl-diskless-sync-delay', '0'],
].flat();

/**
 * A Redis Cluster of the test's own on loopback: three masters, and a replica
 * of each if wanted. Resolves when every node says that all is well.
 */
export async function startRedisCluster({
  replicas = false,
  ...options
}: TestRedisOptions & { replicas?: boolean } = {}): Promise<TestCluster> {
  const servers = await startNodes(replicas ? 6 : 3, options);
  const nodes = servers.map((server) => open(server, options));
  try {
    await join(nodes, servers[0]!.port);
  } finally {
    for (const node of nodes) node.disconnect();
  }
  const masters = servers.slice(0, thirds.length).map((server) => `127.0.0.1:${server.port}`);
  const each = async (act: (server: TestRedis) => Promise<void>) => {
    await Promise.all(servers.map(act));
  };
  const stop = () => each((server) => server.stop());
  const masterOf = async (key: string) => {
    const node = open(servers[0]!, options);
    const slot = Number(await node.cluster('KEYSLOT', key));
    node.disconnect();
    return servers[thirds.findIndex(([from, to]) => slot >= from && slot <= to)]!;
  };
  const url = `redis+cluster://${masters.join(',')}`;
  return {
    ...{ url, servers, masterOf, stop, [Symbol.asyncDispose]: stop },
    ...{ port: servers[0]!.port, pid: servers[0]!.pid },
    exited: Promise.all(servers.map(({ exited }) => exited)),
    kill: () => each((server) => server.kill()),
    restart: async () => {
      await each((server) => server.restart());
      await untilWhole(servers.map((server) => open(server, options)));
    },
  };
}

/**
 * A node's own port is 10,000 above its clients'. Both lie below the ports that
 * the system gives out by itself (from 32,768), yet another program, or a test
 * beside this one, may hold one: then all of them move on.
 */
async function startNodes(count: number, options: TestRedisOptions): Promise<TestRedis[]> {
  for (let attempt = 1; ; attempt++) {
    const port = 11_000 + Math.floor(Math.random() * 11_000);
    const args = [...settings, ...(options.args ?? [])];
    const starts = Array.from({ length: count }, (_, i) =>
      startSingleRedis({ ...options, args, port: port + i }),
    );
    const settled = await Promise.allSettled(starts);
    const servers = settled.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
    if (servers.length === count && servers.every((server, i) => server.port === port + i)) return servers;
    await Promise.all(servers.map((server) => server.stop()));
    const failed = settled.find((start) => start.status === 'rejected');
    if (attempt === 5) throw failed?.reason ?? new Error(`no ${count} free ports in a row from ${port}`);
  }
}

/** A client of one node, with the password that its arguments give it. */
function open({ url }: TestRedis, { args = [] }: TestRedisOptions): Redis {
  const at = args.indexOf('--requirepass');
  return connect(at < 0 ? url : url.replace('://', `://:${args[at + 1]}@`));
}

async function untilWhole(nodes: readonly Redis[]): Promise<void> {
  const info = async (node: Redis) => String(await node.cluster('INFO'));
  await untilAll(nodes, async (node) => (await info(node)).includes('cluster_state:ok'));
  for (const node of nodes) node.disconnect();
}

async function join(nodes: readonly Redis[], firstPort: number): Promise<void> {
  const masters = nodes.slice(0, thirds.length);
  const replicas = nodes.slice(thirds.length);
  await Promise.all(thirds.map(([from, to], i) => masters[i]!.cluster('ADDSLOTSRANGE', from, to)));
  await Promise.all(nodes.slice(1).map((node) => node.cluster('MEET', '127.0.0.1', firstPort)));
  const info = async (node: Redis) => String(await node.cluster('INFO'));
  await untilAll(nodes, async (node) => (await info(node)).includes(`cluster_known_nodes:${nodes.length}`));
  const ids = await Promise.all(masters.map((node) => node.cluster('MYID')));
  await Promise.all(replicas.map((node, i) => node.cluster('REPLICATE', ids[i]!)));
  await untilAll(nodes, async (node) => (await info(node)).includes('cluster_state:ok'));
  await untilAll(replicas, async (node) =>
    (await node.info('replication')).includes('master_link_status:up'),
  );
}

async function untilAll(nodes: readonly Redis[], holds: (node: Redis) => Promise<boolean>): Promise<void> {
  await until('the cluster has come together', async () =>
    (await Promise.all(nodes.map(holds))).every(Boolean),
  );
}
