import type { IdentityResolver } from '@headwater/identity';
import type { Context, Logger } from '@headwater/ops';
import { type AppendOptions, Producer, type Redis, type StreamMetrics } from '@headwater/streams';
import type { XrpcClient } from '@headwater/xrpc';
import type { Doubles } from './live/doubles.ts';
import type { Feed, IngesterMetrics } from './metrics.ts';
import type { Repairs } from './repairs.ts';
import type { SignatureChecker } from './verify/signatures.ts';
import type { Verifier } from './verify/verifier.ts';

export type Settings = Context<'ingester'>['settings'];

/** What tests set otherwise than operators. */
export interface Tuning {
  /** First and longest pause between tries at a host, in milliseconds. */
  pause?: { baseMs: number; maxMs: number };
  /** Pauses between looks at what is due. */
  pollMs?: number;
}

/** What all tasks of the process share. */
export interface Shared {
  settings: Settings;
  redis: Redis;
  client: XrpcClient;
  identities: IdentityResolver;
  verifier: Verifier;
  signatures: SignatureChecker;
  doubles: Doubles;
  repairs: Repairs;
  streams: StreamMetrics;
  metrics: IngesterMetrics;
  log: Logger;
  tuning: Tuning;
}

export interface Task {
  name: string;
  /** Stream and name of the lease under which exactly one copy of the service runs it. */
  stream: string;
  host: string;
  /** Runs until the signal aborts; with every append it hands in the guard of its lease. */
  run: (signal: AbortSignal, guard: AppendOptions['guard']) => Promise<void>;
  /** Of a subscription: the service is ready when it is open, or another copy's. */
  feed?: Feed;
  state: 'starting' | 'standby' | 'running';
}

/** What every task needs; each has a producer of its own. */
export function common(shared: Shared, stream: string) {
  const { settings, redis, client, repairs, streams, metrics, log, tuning } = shared;
  const { highWaterMark, highWaterBytes, batchSize, batchTimeoutMs } = settings;
  const producer = new Producer(redis, stream, { highWaterMark, highWaterBytes, log, metrics: streams });
  const batch = { maxItems: batchSize, maxWaitMs: batchTimeoutMs };
  const pause = tuning.pause && { pause: tuning.pause };
  return { redis, client, producer, repairs, metrics, log, batch, ...pause };
}
