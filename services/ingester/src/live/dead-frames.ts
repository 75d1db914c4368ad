import type { Logger } from '@headwater/ops';
import { keysOf, type Redis, type Step } from '@headwater/streams';
import type { Item } from './gate.ts';

/** Letters above which frames are only counted: a host that sends rubbish must not fill Redis. */
const mostLetters = 10_000;
/** Lines logged in ten seconds; the rest is only counted. */
const mostLines = 10;
const linesEveryMs = 10_000;
/** As much of a frame as is kept. */
const mostBytes = 64 * 2 ** 10;

export interface DeadFrame {
  frame: Uint8Array;
  seq: number | undefined;
  reason: string;
  error: Error;
}

/**
 * Keeps frames that can't be used beside the dead entries of their stream, in
 * the same form: `frame` (base64, cut at 64 KiB) and the marks of every letter.
 * They came from no stream, so they are not put back by a requeue.
 */
export class DeadFrames {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #host: string;
  readonly #log: Logger;
  #lines = { since: 0, count: 0 };

  constructor(redis: Redis, stream: string, host: string, log: Logger) {
    this.#redis = redis;
    this.#key = keysOf(redis, stream).dead;
    this.#host = host;
    this.#log = log;
  }

  /** Commands that bury the frames, for the step in which the cursor passes them; none where there are too many. */
  async commands(frames: readonly DeadFrame[]): Promise<(step: Step) => void> {
    if (frames.length === 0) return () => {};
    for (const frame of frames) this.#say(frame);
    const room = mostLetters - (await this.#redis.xlen(this.#key));
    return (step) => {
      for (const frame of frames.slice(0, Math.max(0, room)))
        step.call('XADD', this.#key, '*', ...this.#fields(frame));
    };
  }

  #say({ seq, reason, error }: DeadFrame): void {
    if (Date.now() - this.#lines.since > linesEveryMs) this.#lines = { since: Date.now(), count: 0 };
    if (++this.#lines.count > mostLines) return;
    this.#log.warn({ host: this.#host, seq, reason, error: error.message }, 'set a frame aside');
  }

  #fields({ frame, seq, reason, error }: DeadFrame): string[] {
    const now = new Date().toISOString();
    const letter = {
      frame: Buffer.from(frame.buffer, frame.byteOffset, Math.min(frame.length, mostBytes)).toString(
        'base64',
      ),
      bytes: frame.length,
      reason,
      error: `${error.name}: ${error.message}`.slice(0, 1000),
      attempts: 1,
      first: now,
      last: now,
      source: this.#host,
      source_id: seq ?? '',
      group: '',
    };
    return Object.entries(letter).flatMap(([name, value]) => [name, String(value)]);
  }
}

/** The frames among these items that are to be kept. */
export function deadOf(items: readonly Item[]): DeadFrame[] {
  return items.flatMap(({ outcome: { dead, drops, seq }, frame }) =>
    dead && frame ? [{ frame, seq, reason: drops?.[0] ?? 'unknown', error: dead }] : [],
  );
}
