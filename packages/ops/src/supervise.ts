import { backoff, sleep } from './backoff.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface SuperviseOptions {
  signal: AbortSignal;
  log: Logger;
  metrics: Metrics;
  /** Errors that no restart mends: they end the service. */
  isFatal?: (err: unknown) => boolean;
  baseMs?: number;
  maxMs?: number;
}

/** A run this long was healthy: the pauses start small again. */
const healthyMs = 60_000;

/**
 * Runs a task until the signal aborts; whenever it ends or fails before that
 * it is logged, counted and started again after a growing pause. No task of a
 * service dies quietly.
 *
 * @throws what `isFatal` picked
 */
export async function supervise(
  name: string,
  task: (signal: AbortSignal) => Promise<void>,
  { signal, log, metrics, isFatal, ...pause }: SuperviseOptions,
): Promise<void> {
  const restarts = metrics.counter('task_restarts_total', 'Supervised tasks started again after a failure.', [
    'task',
  ]);
  restarts.inc({ task: name }, 0);
  let failures = 0;
  while (!signal.aborted) {
    const started = Date.now();
    const err = await outcome(() => task(signal));
    if (signal.aborted) return;
    if (err !== undefined && isFatal?.(err)) throw err;
    failures = Date.now() - started > healthyMs ? 1 : failures + 1;
    const pauseMs = backoff(failures, { baseMs: 500, maxMs: 60_000, ...pause });
    restarts.inc({ task: name });
    log.error(
      { err, task: name, failures, pauseMs: Math.round(pauseMs) },
      'a task ended and is started again',
    );
    await sleep(pauseMs, signal);
  }
}

async function outcome(task: () => Promise<void>): Promise<unknown> {
  try {
    await task();
    return undefined;
  } catch (err) {
    return err ?? new Error('failed without an error');
  }
}
