/** A look that costs more than this part of the time is made less often. */
const share = 0.05;

/** A look, and a way to say that something has changed since. */
export interface Cached<T> {
  (): Promise<T>;
  forget(): void;
}

/**
 * One look for all who ask within `freshMs`. A look that takes long serves for
 * longer, so that looking never becomes a load; a failed one is made again.
 */
export function cached<T>(look: () => Promise<T>, freshMs: number): Cached<T> {
  let last: { until: number; answer: Promise<T> } | undefined;
  const shared = () => {
    if (last !== undefined && Date.now() < last.until) return last.answer;
    const began = Date.now();
    const mine = { until: Number.POSITIVE_INFINITY, answer: look() };
    last = mine;
    mine.answer.then(
      () => {
        mine.until = Date.now() + Math.max(freshMs, (Date.now() - began) / share);
      },
      () => {
        mine.until = 0;
      },
    );
    return mine.answer;
  };
  const forget = () => {
    last = undefined;
  };
  return Object.assign(shared, { forget });
}
