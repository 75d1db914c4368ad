import type { Metrics } from '@headwater/ops';
import type { Redis } from './connect.ts';
import { within } from './errors.ts';
import { type Lag, lagOf } from './lag.ts';
import type { Pressure, StreamMetrics } from './metrics.ts';
import { redisMetrics } from './redis-health.ts';

const pressures: Pressure[] = ['entries', 'bytes', 'memory', 'unavailable'];

/** What producers and consumers report, as metrics of the process. */
export function streamMetrics(metrics: Metrics): StreamMetrics {
  const appended = metrics.counter('stream_appended_entries_total', 'Entries appended.', ['stream']);
  const appendedBytes = metrics.counter('stream_appended_bytes_total', 'Bytes of the entries appended.', [
    'stream',
  ]);
  const pressed = metrics.gauge('stream_backpressure', '1 while a producer waits, by what it waits for.', [
    'stream',
    'pressure',
  ]);
  const waited = metrics.counter(
    'stream_backpressure_seconds_total',
    'Time that producers have waited before they could append.',
    ['stream', 'pressure'],
  );
  const read = metrics.counter(
    'stream_read_entries_total',
    'Entries read, new ones or taken over from a consumer that is gone.',
    ['stream', 'from'],
  );
  const readBytes = metrics.counter('stream_read_bytes_total', 'Bytes of the entries read.', ['stream']);
  const seconds = metrics.histogram(
    'stream_write_seconds',
    'Duration of the writes of batches.',
    ['stream', 'outcome'],
    { buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300] },
  );
  const sizes = metrics.histogram('stream_write_entries', 'Entries of the batches written.', ['stream'], {
    buckets: [1, 5, 20, 50, 100, 250, 500, 1000, 2500, 5000],
  });
  const failed = metrics.counter(
    'stream_failed_tries_total',
    'Failed tries at single entries, each tried again or, after the last, among the dead letters.',
    ['stream'],
  );
  const ended = metrics.counter('stream_ended_entries_total', 'Entries that left this process, and how.', [
    'stream',
    'ending',
    'reason',
  ]);
  const held = metrics.gauge('stream_in_hand_entries', 'Entries read and not ended.', ['stream']);
  const heldBytes = metrics.gauge('stream_in_hand_bytes', 'Bytes of the entries read and not ended.', [
    'stream',
  ]);
  return {
    appended(stream, entries, bytes) {
      appended.inc({ stream }, entries);
      appendedBytes.inc({ stream }, bytes);
    },
    pressed(stream, pressure) {
      for (const each of pressures) pressed.set({ stream, pressure: each }, each === pressure ? 1 : 0);
    },
    waited: (stream, pressure, time) => waited.inc({ stream, pressure }, time),
    read(stream, from, entries, bytes) {
      read.inc({ stream, from }, entries);
      readBytes.inc({ stream }, bytes);
    },
    wrote(stream, outcome, entries, time) {
      seconds.observe({ stream, outcome }, time);
      sizes.observe({ stream }, entries);
    },
    failed: (stream) => failed.inc({ stream }),
    ended: (stream, ending, reason, entries) => ended.inc({ stream, ending, reason }, entries),
    inHand(stream, entries, bytes) {
      held.set({ stream }, entries);
      heldBytes.set({ stream }, bytes);
    },
  };
}

/** A Redis that is away must not hold up the scrape. */
const answerMs = 2000;
/** Looks are shared by the gauges of one scrape. */
const freshMs = 1000;

/**
 * Gauges of how far groups are behind, and of Redis itself, looked at when
 * Prometheus scrapes. A stream that can't be looked at has no values rather
 * than old ones.
 */
export function lagMetrics(
  metrics: Metrics,
  redis: Redis,
  watched: readonly { stream: string; group: string }[],
): void {
  let looked = { at: 0, lags: Promise.resolve<(Lag | undefined)[]>([]) };
  const look = () => {
    if (Date.now() - looked.at < freshMs) return looked.lags;
    const lags = Promise.all(
      watched.map(({ stream, group }) => within(lagOf(redis, stream, group), answerMs)),
    );
    looked = { at: Date.now(), lags };
    return lags;
  };
  const gauge = (name: string, help: string, value: (lag: Lag) => number | undefined) =>
    metrics.gauge(name, help, ['stream', 'group'], {
      async collect() {
        this.reset();
        const lags = await look();
        watched.forEach((labels, i) => {
          const lag = lags[i];
          const number = lag && value(lag);
          if (number !== undefined) this.set(labels, number);
        });
      },
    });
  gauge('stream_length_entries', 'Entries in the stream.', (lag) => lag.length);
  gauge('stream_length_bytes', 'Redis memory of the stream, estimated.', (lag) => lag.bytes);
  gauge('stream_lag_entries', 'Entries not yet delivered to the group; absent while unknown.', (lag) =>
    lag.lag === 'unknown' ? undefined : lag.lag,
  );
  gauge('stream_lag_unknown', '1 while the lag of the group is unknown.', (lag) =>
    lag.lag === 'unknown' ? 1 : 0,
  );
  gauge('stream_pending_entries', 'Entries delivered and not ended.', (lag) => lag.pending);
  gauge(
    'stream_oldest_pending_seconds',
    'Age of the oldest entry that is delivered and not ended, 0 when there is none.',
    (lag) => (lag.oldestPendingMs ?? 0) / 1000,
  );
  gauge('stream_parked_entries', 'Entries out of the stream until a time.', (lag) => lag.parked);
  gauge('stream_dead_entries', 'Dead letters of the stream.', (lag) => lag.dead);
  gauge('stream_consumers', 'Consumers of the group.', (lag) => lag.consumers);
  redisMetrics(metrics, redis);
}
