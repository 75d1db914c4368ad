/** Why events may have been missed. */
export interface Break {
  reason: 'sequence-reset' | 'sequence-hole' | 'time-gap' | 'time-back';
  detail: string;
}

/** A hole that may be a few events which the host leaves out on purpose (accounts taken down since). */
const smallHole = 20;
/** Frames after which a host's ways are known. */
const knownAfter = 100;
/** Events whose times are looked at together: any single one may come from a host whose clock is wrong. */
const sample = 21;
const timeGapMs = 5 * 60_000;
const manyIntervals = 20;

/**
 * Notices that a host has gone on elsewhere than where we stopped. Hosts don't
 * say when a cursor is older than what they keep (they start at their oldest
 * event), when it is in the future (they start live), or when they have begun
 * to count anew.
 *
 * In numbers: what comes after the last one must be the next one, but for the
 * holes that this host has anyway. In time, for a count that was begun anew
 * and has reached our cursor again: the events after a reconnect begin when
 * the ones before it ended.
 */
export class Continuity {
  #seq: number | undefined;
  /** Times of the last events, in ms; a ring. */
  readonly #times: number[] = [];
  #at = 0;
  /** Times of the first events after a connect, until there are enough. */
  #since: number[] | undefined;
  /** What the stream's time was before that. */
  #before: number | undefined;
  #isFirst = false;
  #seen = 0;
  #usualHole = 0;

  /** @param time of the events before the cursor, in ms, as `time` gave it */
  constructor(seq?: number, time?: number) {
    this.#seq = seq;
    this.#before = time;
  }

  /** The time up to which the stream is read, in ms: not that of the last event, which may be anybody's. */
  get time(): number | undefined {
    return this.#times.length > 0 ? quantile(this.#times, 0.5) : this.#before;
  }

  /** A connection is open; what comes first is held against what came last. */
  connected(): void {
    this.#isFirst = true;
    if (this.time === undefined) return;
    this.#before = this.time;
    this.#since = [];
  }

  /** The host was told to go on elsewhere: the next number is no surprise. */
  forget(): void {
    this.#seq = undefined;
    this.#since = undefined;
  }

  /** The host's next event. */
  next(seq: number, time: number | undefined): Break | undefined {
    const broken = this.#numbers(seq);
    const late = time === undefined ? undefined : this.#times_(time);
    return broken ?? late;
  }

  #numbers(seq: number): Break | undefined {
    const last = this.#seq;
    const isFirst = this.#isFirst;
    this.#seq = seq;
    this.#isFirst = false;
    this.#seen++;
    if (last === undefined) return undefined;
    const detail = `${seq} came after ${last}`;
    if (seq <= last) return { reason: 'sequence-reset', detail };
    const hole = seq - last - 1;
    const tolerated =
      isFirst && this.#seen > knownAfter ? 2 * this.#usualHole : smallHole + 2 * this.#usualHole;
    if (!isFirst) this.#usualHole = Math.max(this.#usualHole, Math.min(hole, 1000));
    return hole > tolerated ? { reason: 'sequence-hole', detail } : undefined;
  }

  #times_(time: number): Break | undefined {
    this.#times[this.#at] = time;
    this.#at = (this.#at + 1) % sample;
    if (this.#since?.push(time) !== sample) return undefined;
    const [early, late] = [quantile(this.#since, 0.25), quantile(this.#since, 0.75)];
    this.#since = undefined;
    const interval = (late - early) / (sample / 2);
    const before = this.#before!;
    const detail = `the events before were of ${text(before)}, those after of ${text(early)} and later`;
    if (early - before > Math.max(timeGapMs, manyIntervals * interval)) return { reason: 'time-gap', detail };
    if (before - late > timeGapMs) return { reason: 'time-back', detail };
    return undefined;
  }
}

function quantile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)]!;
}

function text(ms: number): string {
  return new Date(ms).toISOString();
}
