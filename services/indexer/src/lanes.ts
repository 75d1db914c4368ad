import { hostname } from 'node:os';
import { applyEvents, applyLabels, type Pool } from '@headwater/database';
import {
  collectionFilter,
  decodeEvents,
  decodeLabels,
  type Glance,
  glanceAt,
  InvalidEntryError,
  type LabelEvent,
  type StreamEvent,
} from '@headwater/events';
import { type Context, type Logger, seam } from '@headwater/ops';
import {
  type ConsumeOptions,
  consume,
  type Delivered,
  type ReadFields,
  type Redis,
  type StreamMetrics,
  type Verdict,
} from '@headwater/streams';
import type { IndexerMetrics } from './metrics.ts';

type Settings = Context<'indexer'>['settings'];
type Kind = 'live' | 'backfill' | 'labels';

export interface LaneContext {
  settings: Settings;
  redis: Redis;
  pool: Pool;
  log: Logger;
  metrics: IndexerMetrics;
  streamMetrics: StreamMetrics;
}

/** One stream to consume. */
export interface Source {
  stream: string;
  kind: Kind;
  group: string;
  /** Transactions at once. */
  lanes: number;
}

const labelGroup = 'label_group';
/** JSON in hand at most, in bytes, by kind: of whole fetches a batch for each session, and the next ones. */
const maxBytes: Record<Kind, number> = {
  live: 8 * 2 ** 20,
  backfill: 24 * 2 ** 20,
  labels: 4 * 2 ** 20,
};
/** JSON in one batch. */
const batchBytes = 4 * 2 ** 20;
/** What is left of the drain for handing entries back. */
const handBackMs = 3_000;

/** Which streams this process consumes, and how the sessions are shared out among them. */
export function sourcesOf(settings: Settings): Source[] {
  const streams = {
    all: settings.streams,
    live: ['firehose_live'],
    backfill: ['firehose_backfill'],
    labels: ['label_live'],
  }[settings.mode];
  const kinds = streams.map((stream) => ({ stream, kind: kindOf(stream) }));
  const firehoses = kinds.filter(({ kind }) => kind !== 'labels').length;
  const each = Math.max(1, Math.floor(settings.concurrency / Math.max(1, firehoses)));
  return kinds.map(({ stream, kind }) => ({
    stream,
    kind,
    group: kind === 'labels' ? labelGroup : settings.group,
    lanes: kind === 'labels' ? 1 : each,
  }));
}

function kindOf(stream: string): Kind {
  if (stream.startsWith('label')) return 'labels';
  return stream.includes('backfill') ? 'backfill' : 'live';
}

/** Consumes one stream until the signal aborts. */
export function consumeSource(context: LaneContext, source: Source, signal: AbortSignal): Promise<void> {
  const { settings, redis, log, streamMetrics } = context;
  const common = {
    redis,
    stream: source.stream,
    group: source.group,
    consumer: settings.consumer ?? `${hostname()}-${process.pid}`,
    lanes: source.lanes,
    batchItems: settings.batchSize,
    batchBytes: Math.min(batchBytes, maxBytes[source.kind] / 4),
    maxBytes: maxBytes[source.kind],
    batchMs: settings.batchTimeoutMs,
    maxAttempts: settings.maxAttempts,
    drainMs: Math.max(0, settings.drainMs - handBackMs),
    signal,
    log,
    metrics: streamMetrics,
  };
  return source.kind === 'labels'
    ? consume<LabelEvent[]>({ ...common, ...labelLane(context, source) })
    : consume<Unread>({ ...common, ...eventLane(context, source) });
}

type Lane<T> = Pick<ConsumeOptions<T>, 'decode' | 'key' | 'count' | 'write'>;

/** An entry as it came. Parsed while it waits, it would take some five times as much memory. */
interface Unread extends Glance {
  fields: ReadFields;
}

function eventLane({ settings, pool, log, metrics }: LaneContext, { stream, kind }: Source): Lane<Unread> {
  const keep = collectionFilter(settings.collections);
  const { backfillNotifications } = settings;
  return {
    decode: (fields) => ({ ...glanceAt(fields), fields }),
    // All entries of a repo go to one lane: sessions of this process don't wait for each other's locks.
    key: ({ did }) => did,
    count: ({ events }) => events,
    async write(batch) {
      const started = performance.now();
      const read = new Reading(batch);
      const result = await applyEvents(pool, read.entries(), { keep, backfillNotifications });
      seam('indexer:events-written');
      for (const did of result.completed)
        log.debug({ did, fetch: read.fetches.get(did) }, 'a repo is complete');
      metrics.wrote(stream, read.events, (performance.now() - started) / 1000, result);
      const now = Date.now();
      if (kind === 'live')
        for (const time of read.times) metrics.delayed((now - Date.parse(time)) / 1000 || 0);
      return read.unreadable;
    },
  };
}

/** Reads a batch's entries as they are asked for. */
class Reading {
  events = 0;
  /** Of each entry. */
  readonly times: string[] = [];
  /** Names of fetches that the batch holds parts of, by DID. */
  readonly fetches = new Map<string, string>();
  readonly unreadable: Verdict<Unread>[] = [];
  readonly #batch: readonly Delivered<Unread>[];

  constructor(batch: readonly Delivered<Unread>[]) {
    this.#batch = batch;
  }

  *entries(): Generator<StreamEvent[]> {
    for (const entry of this.#batch) {
      const events = this.#read(entry);
      if (!events) continue;
      this.events += events.length;
      const first = events[0]!;
      this.times.push(first.time);
      if ('fetch' in first) this.fetches.set(first.did, first.fetch as string);
      yield events;
    }
  }

  #read(entry: Delivered<Unread>): StreamEvent[] | undefined {
    try {
      return decodeEvents(entry.item.fields);
    } catch (error) {
      if (!(error instanceof InvalidEntryError)) throw error;
      this.unreadable.push({ entry, outcome: 'dead', reason: error.reason, error });
      return undefined;
    }
  }
}

function labelLane({ pool, metrics }: LaneContext, { stream }: Source): Lane<LabelEvent[]> {
  return {
    decode: decodeLabels,
    key: (events) => events[0]!.label.src,
    count: (events) => events.length,
    async write(batch) {
      const started = performance.now();
      const labels = batch.flatMap((entry) => entry.item.map((event) => event.label));
      const result = await applyLabels(pool, labels);
      seam('indexer:labels-written');
      metrics.labelled(stream, labels.length, (performance.now() - started) / 1000, result);
    },
  };
}
