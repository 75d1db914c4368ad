const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `stop` when the signal aborts, unless what is returned is called before. Of a signal that hundreds wait for at
 * once, and for a moment only, each takes a place in a set: a listener of its own would cost microseconds, and its
 * removal a walk along all others. `stop` must not throw. A signal that has aborted already is the caller's to notice.
 */
export function onAbort(signal: AbortSignal, stop: () => void): () => void {
  const stops = waiting.get(signal) ?? listen(signal);
  // Its own function: the same `stop` may wait twice.
  const mine = () => stop();
  stops.add(mine);
  return () => {
    stops.delete(mine);
  };
}

function listen(signal: AbortSignal): Set<() => void> {
  const stops = new Set<() => void>();
  waiting.set(signal, stops);
  const stopAll = () => {
    for (const stop of stops) stop();
    stops.clear();
  };
  signal.addEventListener('abort', stopAll, { once: true });
  return stops;
}
