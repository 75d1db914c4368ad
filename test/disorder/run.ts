import { Random } from '@headwater/local/random';
import { connect, type Redis } from '@headwater/streams';
import { createNetwork, type Network, type NetworkOptions } from '../simulator/index.ts';
import { createDatabase } from '../support/postgres.ts';
import { startRedis } from '../support/redis.ts';
import { compareWithTruth, type Differences } from './compare.ts';
import { wrongLetters } from './dead-letters.ts';
import { killAtRandom, Pipeline } from './pipeline.ts';
import { untilHeard, untilQuiet } from './quiet.ts';

export interface DisorderOptions {
  seed: number;
  repos: number;
  recordsPerRepo: number;
  /** Writes and events while everything runs. */
  operations: number;
  perSecond: number;
  faults?: NetworkOptions['faults'];
  rates?: NetworkOptions['rates'];
  /** Mean time between two kills of one of the services; none by default. */
  killEveryMs?: number;
  /** Further settings of the services, and arguments of their Node; with these they may kill themselves. */
  env?: Record<string, string>;
  nodeArgs?: string[];
  /** Servers of the test's own, where these are to suffer too. */
  servers?: { redisUrl: string; databaseUrl: string };
  /** What happens to them while the network lives; after it they are up. */
  meanwhile?: () => Promise<void>;
  /** Longest wait for quiet at the end. */
  quietMs: number;
}

export interface DisorderReport {
  seed: number;
  differences: Differences;
  /** Dead letters that should not be there, or are missing. */
  letters: string[];
  kills: number;
  faults: number;
  records: number;
  seconds: { live: number; quiet: number };
}

/** Pauses as short as may be: nobody on loopback has to be spared, and a test can't wait for minutes. */
const SETTINGS = {
  INGESTER_IDLE_MS: '2000',
  INGESTER_LEASE_MS: '1000',
  INGESTER_RELIST_MS: '1500',
  INGESTER_BATCH_TIMEOUT_MS: '50',
  BACKFILLER_HOST_REQUESTS_PER_SECOND: '1000',
  // Turns at a host that a killed process held are given back only after a minute.
  BACKFILLER_HOST_CONCURRENCY: '1000',
  BACKFILLER_CONSUMER_NAME: 'backfiller',
  BACKFILLER_RETRY_BASE_MS: '50',
  BACKFILLER_RETRY_MAX_MS: '500',
  BACKFILLER_MIN_BYTES_PER_SECOND: '1',
  BACKFILLER_DEADLINE_MS: '5000',
  BACKFILLER_MAX_REPO_BYTES: '64MiB',
  INDEXER_CONSUMER: 'indexer',
  INDEXER_GAP_GRACE_MS: '500',
  LOG_LEVEL: 'info',
};

/**
 * The whole way under disorder: a network that lives on while services read it
 * and die, until the network settles and all is quiet. Then the tables are
 * held against the truth.
 */
export async function runDisorder(options: DisorderOptions): Promise<DisorderReport> {
  const { seed, repos, recordsPerRepo, faults, rates } = options;
  await using network = await createNetwork({
    seed,
    repos,
    recordsPerRepo,
    hosts: 5,
    labelers: 1,
    clock: 'wall',
    ...(rates && { rates }),
    ...(faults && { faults }),
  });
  await using own = options.servers ? undefined : await startServers();
  const { redisUrl, databaseUrl } = options.servers ?? own!;
  const redis = connect(redisUrl, { name: 'test' });
  await using pipeline = new Pipeline({
    redisUrl,
    databaseUrl,
    plcUrl: network.plcUrl,
    env: {
      ...SETTINGS,
      INGESTER_RELAY_HOSTS: network.relayUrls.join(','),
      INGESTER_LABELER_HOSTS: network.labelers.map(({ did }) => did).join(','),
      HANDLE_RESOLVER_URL: network.relayUrl,
      ...options.env,
    },
    ...(options.nodeArgs && { nodeArgs: options.nodeArgs }),
  });
  try {
    return await observe(options, { network, redis, pipeline, databaseUrl });
  } finally {
    redis.disconnect();
  }
}

async function startServers() {
  const database = await createDatabase();
  const server = await startRedis({ aof: true });
  const end = async () => {
    await server.stop();
    await database.drop();
  };
  return { redisUrl: server.url, databaseUrl: database.url, [Symbol.asyncDispose]: end };
}

/** A report in a few lines: the first differences of each kind, and what struck the repos concerned. */
export function summarize({ differences, letters }: DisorderReport): string {
  const lines: string[] = [];
  for (const [kind, some] of Map.groupBy(differences, (line) => line.slice(0, line.indexOf(' ')))) {
    lines.push(`${some.length} x ${kind}:`, ...some.slice(0, 8).map((line) => `  ${line}`));
  }
  return [...lines, ...letters.slice(0, 20).map((line) => `letters: ${line}`)].join('\n');
}

interface Place {
  network: Network;
  redis: Redis;
  pipeline: Pipeline;
  databaseUrl: string;
}

async function observe(options: DisorderOptions, place: Place): Promise<DisorderReport> {
  const { network, redis, pipeline, databaseUrl } = place;
  const { seed, operations, perSecond, killEveryMs, quietMs } = options;
  const began = performance.now();
  await pipeline.start();
  const over = new AbortController();
  const killing =
    killEveryMs === undefined
      ? Promise.resolve()
      : killAtRandom(pipeline, new Random(seed), { betweenMs: killEveryMs, signal: over.signal });
  await Promise.all([network.run({ operations, perSecond }), options.meanwhile?.()]);
  over.abort();
  await killing;
  network.calm();
  const quietOptions = { redis, databaseUrl, network, ms: quietMs, check: () => checkAlive(pipeline) };
  // What the network says in the end has to be heard: nothing else tells of an account that is deleted.
  await untilHeard(quietOptions);
  network.settle();
  const settled = performance.now();
  await untilQuiet(quietOptions);
  const quiet = performance.now();
  const differences = await compareWithTruth(databaseUrl, network);
  return {
    seed,
    differences: [...differences, ...struck(network, differences)],
    letters: await wrongLetters(redis, network),
    kills: Object.values(pipeline.kills).reduce((sum, n) => sum + n, 0),
    faults: network.injected.length,
    records: [...network.truth().records()].length,
    seconds: { live: (settled - began) / 1000, quiet: (quiet - settled) / 1000 },
  };
}

/** Which faults struck the accounts that differ. */
function struck({ injected }: Network, differences: Differences): string[] {
  const dids = new Set(differences.flatMap((line) => /did:plc:[a-z2-7]+/.exec(line) ?? []));
  return [...dids].slice(0, 10).flatMap((did) => {
    const faults = injected
      .filter((fault) => fault.did === did)
      .map((fault) => `${fault.fault} ${fault.rev ?? ''}`);
    return faults.length === 0 ? [] : [`struck ${did}: ${faults.join(', ')}`];
  });
}

function checkAlive({ failures }: Pipeline): void {
  if (failures.length > 0) throw new Error(failures.join('\n'));
}
