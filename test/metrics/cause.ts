import { encodeRepoJob } from '@headwater/events';
import type { Metrics } from '@headwater/ops';
import { keysOf } from '@headwater/streams';
import type { World } from '../sync/world.ts';

/** Something that happens, and the metrics that have to show it. */
export interface Cause {
  name: string;
  /** Each has to rise, in the sum of its samples with these labels. */
  moves: Record<string, Labels>;
  /** What the last one left is needed: nobody waits until all is quiet. */
  follows?: true;
  act(place: Place): Promise<unknown>;
  /** Between two looks: what operators count in minutes is cut short, what has to go on goes on. */
  meanwhile?(place: Place): Promise<unknown>;
  /** Afterwards all is as before. */
  undo?(place: Place): Promise<unknown>;
}

export type Labels = Record<string, string>;

export interface Place {
  world: World;
  /** Metrics of every process. */
  metrics: readonly Metrics[];
  /** Base URL of the status page. */
  page: string;
}

/** A metric's samples with these labels, of all processes; of a histogram how much was observed. */
export async function figureOf({ metrics }: Place, name: string, labels: Labels): Promise<number> {
  let sum = 0;
  for (const { registry } of metrics) {
    const found = await registry.getSingleMetric(name)?.get();
    for (const { value, labels: own, ...sample } of found?.values ?? []) {
      const { metricName = name } = sample as { metricName?: string };
      const isWanted = Object.entries(labels).every(([label, text]) => (own as Labels)[label] === text);
      if (isWanted && (metricName === name || metricName.endsWith('_count'))) sum += value;
    }
  }
  return sum;
}

/** Active accounts that no cause has taken for itself, one at a time. */
export function someAccount({ world }: Place) {
  const account = world.network.world.accounts.find((one) => one.active && !one.quiet && !taken.has(one.did));
  taken.add(account!.did);
  return account!;
}

const taken = new Set<string>();

/** Has a repo fetched, whatever is known of it. */
export async function fetchAgain({ world: { redis } }: Place, did: string): Promise<void> {
  const job = { did, host: '', rev: '', active: true, reason: 'operator', force: true } as const;
  await redis.xadd(keysOf(redis, 'repo_backfill').stream, '*', ...Object.entries(encodeRepoJob(job)).flat());
}

/** Has the relay's list read from its beginning. */
export async function listAgain({ world: { redis, network } }: Place): Promise<void> {
  await redis.set(keysOf(redis, 'repo_backfill').beside('relist', network.relayUrl), 'test');
}

/** An account says something. */
export function say({ world: { network } }: Place, times = 1): void {
  const account = network.world.accounts.find(({ active, quiet }) => active && !quiet)!;
  for (let i = 0; i < times; i++) network.life.touch(account);
}
