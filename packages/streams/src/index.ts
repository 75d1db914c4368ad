/**
 * Redis Streams as the pipeline uses them: append under backpressure, consume
 * as a member of a group, cursors, dead letters, lag.
 *
 * Owns: the keys of a stream, the life of an entry from append to its end
 * (written, dropped, dead), the connection to Redis. Refuses to know: what an
 * entry means, where it is written, who runs the process.
 *
 * A crash can repeat any entry that was read and not acknowledged, a batch
 * whose write was durable included. It never loses one: an entry leaves the
 * stream only after its write has resolved, or in the same step that puts it
 * among the dead letters or the parked ones.
 */
export {
  type ConnectOptions,
  checkRedis,
  connect,
  duplicate,
  isCluster,
  mastersOf,
  ofEachMaster,
  type Redis,
} from './connect.ts';
export { consume } from './consume.ts';
export { type DeadLetter, dead, type ListOptions } from './dead.ts';
export {
  FencedError,
  isPassing,
  RedisUnavailableError,
  RedisUrlError,
  RewoundError,
  replyCode,
} from './errors.ts';
export type { Delivered } from './hand.ts';
export { keysOf, readCursor, type StreamKeys, writeCursor } from './keys.ts';
export { type Lag, lagOf } from './lag.ts';
export { type Ending, noMetrics, type Pressure, type StreamMetrics } from './metrics.ts';
export type { Burial, ConsumeOptions, Verdict } from './options.ts';
export {
  type Pausable,
  type Pause,
  pausables,
  pause,
  pausedHosts,
  pauseHost,
  pausesOf,
  resume,
  resumeHost,
  whileAllowed,
} from './pauses.ts';
export { type AppendOptions, Producer, type ProducerOptions, type Step } from './producer.ts';
export { lagMetrics, streamMetrics } from './prometheus.ts';
export { type RedisHealth, redisHealth } from './redis-health.ts';
export { parseRedisUrl } from './redis-url.ts';
export { Script } from './script.ts';
export type { Fields, Log, NewFields, ReadFields } from './types.ts';
