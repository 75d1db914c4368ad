import { setImmediate as immediate } from 'node:timers/promises';
import { backoff, type Logger, sleep } from '@headwater/ops';
import { type Subscription, XrpcError } from '@headwater/xrpc';
import type { Feed, IngesterMetrics } from '../metrics.ts';
import { FeedFaultError } from './feed.ts';

export interface FollowOptions {
  feed: Feed;
  host: string;
  /** Opens a connection from the cursor that is right at that moment. */
  open: (signal: AbortSignal, onOpen: () => void) => Subscription;
  /** Takes frames in; waits while there is no room. @throws FeedFaultError when the host has announced the end */
  accept: (frames: Uint8Array[], signal: AbortSignal) => Promise<void>;
  /** Why the connection ended, before the pause. */
  onEnd?: (err: unknown) => Promise<void>;
  pause?: { baseMs: number; maxMs: number };
  signal: AbortSignal;
  log: Logger;
  metrics: IngesterMetrics;
}

/** Taken in at once: so much that it pays, so little that timers and other hosts have their turn. */
const atOnce = 100;
const bytesAtOnce = 4 * 2 ** 20;

/**
 * Keeps a subscription alive until the signal aborts.
 *
 *     connecting ──open──► reading ──frames──► accepting ──► reading
 *         ▲                   │                  │
 *         └──── pausing ◄─────┴── closed, silent, error frame ──┘
 *               (grows until frames were accepted)
 */
export async function follow(options: FollowOptions): Promise<void> {
  const { feed, host, signal, log, metrics, pause } = options;
  let failures = 0;
  while (!signal.aborted) {
    const err = await oneConnection(options, () => {
      failures = 0;
    });
    metrics.connected(feed, host, false);
    if (signal.aborted) return;
    const reason = causeOf(err);
    if (reason === undefined) throw err;
    metrics.reconnect(feed, reason);
    await options.onEnd?.(err);
    const told = err instanceof XrpcError ? (err.retryAfterMs ?? 0) : 0;
    const pauseMs = Math.max(told, backoff(++failures, { baseMs: 500, maxMs: 60_000, ...pause }));
    log.warn(
      { feed, host, reason, err, pauseMs: Math.round(pauseMs) },
      'the subscription ended; connecting again',
    );
    await sleep(pauseMs, signal);
  }
}

/** Returns why the connection ended; undefined for a clean close. */
async function oneConnection(options: FollowOptions, onProgress: () => void): Promise<unknown> {
  const { feed, host, open, accept, signal, log, metrics } = options;
  try {
    const frames = open(signal, () => {
      metrics.connected(feed, host, true);
      log.info({ feed, host }, 'subscribed');
    });
    // What has come is taken at once: waiting for more is the writer's business, while it is busy.
    const chunks = { maxItems: atOnce, maxBytes: bytesAtOnce, maxWaitMs: 0 };
    for await (const some of frames.batches(chunks)) {
      await accept(some, signal);
      await immediate();
      onProgress();
    }
    return undefined;
  } catch (err) {
    return err;
  }
}

/** The metric's label for what ended a connection; undefined for what is not the connection's fault. */
function causeOf(err: unknown): string | undefined {
  if (err === undefined) return 'closed';
  if (err instanceof XrpcError) return err.kind;
  if (!(err instanceof FeedFaultError)) return undefined;
  return knownFaults.has(err.fault) ? err.fault : 'other-fault';
}

/** A host may call its errors anything; labels of metrics are a small set. */
const knownFaults = new Set(['FutureCursor', 'ConsumerTooSlow', 'OutdatedCursor']);
