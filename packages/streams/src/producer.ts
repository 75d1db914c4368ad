import { randomUUID } from 'node:crypto';
import { sleep } from '@headwater/ops';
import type { Redis } from './connect.ts';
import { abortable, FencedError, isPassing, RewoundError, replyCode } from './errors.ts';
import { keysOf, type StreamKeys } from './keys.ts';
import { noMetrics, type Pressure, type StreamMetrics } from './metrics.ts';
import { appendScript } from './scripts/append.ts';
import { Turns } from './turns.ts';
import { type Log, type NewFields, silent } from './types.ts';

export interface ProducerOptions {
  /** Entries in the stream (those parked included) from which on appending waits. */
  highWaterMark?: number;
  /** Bytes of Redis memory used by the stream from which on appending waits. */
  highWaterBytes?: number;
  /** Share of Redis's `maxmemory` (0 to 1) above which appending waits, whatever uses it. */
  memoryShare?: number;
  /** Pauses between looks at a full stream, in milliseconds. */
  pollMs?: { min: number; max: number };
  log?: Log;
  metrics?: StreamMetrics;
}

export interface AppendOptions {
  /** Ends the waiting; a batch on its way to Redis may be written all the same. */
  signal?: AbortSignal;
  /** The producer's `generation` when the work that this batch belongs to began; refused when it is another one now. */
  generation?: number;
  /** Nothing is written unless this key (of the stream's slot) holds this value then: the fence of a lease. */
  guard?: { key: string; value: string } | undefined;
  /** Moves with the entries, in the same step. */
  cursor?: { host: string; value: string };
  /** Further commands of the same step, on keys of the stream's slot. */
  extra?: (step: Step) => void;
}

/** Commands that run in one step with a batch, after its entries. */
export class Step {
  readonly commands: string[][] = [];

  call(name: string, key: string, ...args: (string | number | Buffer)[]): this {
    this.commands.push([name, key, ...args.map(String)]);
    return this;
  }
  set(key: string, value: string | number): this {
    return this.call('SET', key, value);
  }
  del(key: string): this {
    return this.call('DEL', key);
  }
  hset(key: string, field: string, value: string | number): this {
    return this.call('HSET', key, field, value);
  }
  hdel(key: string, ...fields: string[]): this {
    return this.call('HDEL', key, ...fields);
  }
  sadd(key: string, ...members: string[]): this {
    return this.call('SADD', key, ...members);
  }
  zadd(key: string, score: number, member: string): this {
    return this.call('ZADD', key, score, member);
  }
}

/** Nodes of the stream that are measured for the estimate of its bytes. */
const samples = 500;
/** The estimate is at most this old while the stream is below its mark. */
const measureEveryMs = 250;
/** Redis keeps the number of a producer's last batch for an hour; it is relied on a little less long. */
const rememberedMs = 3_000_000;

/**
 * Writes entries to a stream that its consumers keep short.
 *
 * Checking the marks and appending are one step in Redis, so that the stream
 * never holds more than its mark and one batch, whatever the number of
 * producers. A batch is written once also when the connection breaks while it
 * is on its way. Appends of one producer go one after the other, or several in one step.
 */
export class Producer {
  readonly stream: string;
  readonly #redis: Redis;
  readonly #keys: StreamKeys;
  readonly #options: Required<ProducerOptions>;
  readonly #producerKey: string;
  #batches = 0;
  #generation = 0;
  /** The last batch that Redis confirmed, and when; it must still know it. */
  #confirmed = { number: 0, at: 0 };
  readonly #turns = new Turns((entries, options) => this.#append(entries, options));
  #measured = { at: 0, room: 0, since: 0 };

  constructor(redis: Redis, stream: string, options: ProducerOptions = {}) {
    this.#redis = redis;
    this.#keys = keysOf(redis, stream);
    this.stream = this.#keys.stream;
    this.#producerKey = this.#keys.producer(randomUUID());
    this.#options = {
      highWaterMark: 1_000_000,
      highWaterBytes: Number.MAX_SAFE_INTEGER,
      memoryShare: 0.85,
      pollMs: { min: 5, max: 500 },
      log: silent,
      metrics: noMetrics,
      ...options,
    };
  }

  /**
   * Appends the entries, in order and all together, as soon as the stream is
   * below its marks. A full or unreachable Redis is waited for.
   *
   * @returns the ids of the entries
   * @throws RewoundError when Redis has lost an earlier batch: begin again at the stored cursor;
   *   FencedError when the guard does not hold; the signal's reason when it aborts; ReplyError for what waiting can't mend (WRONGTYPE, NOPERM)
   */
  append(entries: readonly NewFields[], options: AppendOptions = {}): Promise<string[]> {
    return abortable(this.#turns.append(entries, options), options.signal);
  }

  /**
   * Counts how often Redis has lost confirmed batches. Of several pieces of
   * work that share a producer only one gets the RewoundError; the others
   * hand in the generation that they began with.
   */
  get generation(): number {
    return this.#generation;
  }

  async #append(
    entries: readonly NewFields[],
    { signal, generation, guard, cursor, extra }: AppendOptions,
  ): Promise<string[]> {
    signal?.throwIfAborted();
    if (generation !== undefined && generation !== this.#generation) throw new RewoundError(this.stream);
    const step = new Step();
    if (cursor) step.set(this.#keys.cursor(cursor.host), cursor.value);
    extra?.(step);
    if (entries.length === 0 && step.commands.length === 0) return [];
    const { args, bytes } = encode(entries, step);
    const first = await this.#untilWritten(step, args, bytes, { signal, guard });
    this.#measured.since += bytes;
    this.#options.metrics.appended(this.stream, entries.length, bytes);
    return idsFrom(first, entries.length);
  }

  async #untilWritten(
    step: Step,
    args: (string | number | Buffer)[],
    bytes: number,
    { signal, guard }: Pick<AppendOptions, 'signal' | 'guard'>,
  ) {
    const { pollMs, log } = this.#options;
    const number = ++this.#batches;
    const { stream, later } = this.#keys;
    const named = step.commands.map((command) => command[1]!);
    const keys = [stream, later, this.#producerKey, guard?.key ?? stream, ...named];
    const all = [guard?.value ?? '', ...args];
    const wait = { since: Date.now(), pressure: undefined as Pressure | undefined };
    try {
      for (let tries = 0; ; tries++) {
        const answer = await this.#try(keys, number, all, bytes, signal);
        if ('first' in answer) return answer.first;
        if (wait.pressure !== answer.pressure) {
          log.info(
            { stream: this.stream, pressure: answer.pressure, err: answer.error },
            'waiting to append',
          );
          this.#options.metrics.pressed(this.stream, answer.pressure);
        }
        wait.pressure = answer.pressure;
        await sleep(Math.min(pollMs.min * 1.5 ** Math.min(tries, 40), pollMs.max), signal);
        signal?.throwIfAborted();
      }
    } finally {
      if (wait.pressure) this.#waited(wait.pressure, Date.now() - wait.since);
    }
  }

  #waited(pressure: Pressure, ms: number): void {
    const { metrics, log } = this.#options;
    metrics.pressed(this.stream, undefined);
    metrics.waited(this.stream, pressure, ms / 1000);
    log.debug({ stream: this.stream, pressure, ms }, 'waited to append');
  }

  async #try(
    keys: string[],
    number: number,
    args: (string | number | Buffer)[],
    bytes: number,
    signal?: AbortSignal,
  ): Promise<{ first: string } | { pressure: Pressure; error?: unknown }> {
    const { highWaterMark, highWaterBytes, memoryShare } = this.#options;
    const look = this.#mustMeasure(bytes) ? samples : 0;
    const known = Date.now() - this.#confirmed.at < rememberedMs ? this.#confirmed.number : 0;
    const limits = [highWaterMark, highWaterBytes, memoryShare, look, number, known];
    try {
      const run = appendScript.run(this.#redis, keys, [...limits, ...args]);
      const [word, first, room] = (await abortable(run, signal)) as [string, string, (number | null)?];
      if (room !== undefined && room !== null) this.#measured = { at: Date.now(), room, since: 0 };
      if (word === 'ok') this.#confirmed = { number, at: Date.now() };
      if (word === 'rewound') this.#rewind();
      if (word === 'fenced') throw new FencedError(this.stream, keys[3]!);
      if (word === 'ok') return { first };
      this.#measured.at = 0;
      return { pressure: word as Pressure };
    } catch (error) {
      if (signal?.aborted || error instanceof RewoundError || error instanceof FencedError) throw error;
      if (this.#redis.status === 'end' || !isPassing(error)) throw error;
      return { pressure: replyCode(error) === 'OOM' ? 'memory' : 'unavailable', error };
    }
  }

  #rewind(): never {
    this.#confirmed = { number: 0, at: 0 };
    this.#generation++;
    throw new RewoundError(this.stream);
  }

  /** Measuring costs Redis some 20 µs: rarely while far below the mark, always near it. */
  #mustMeasure(bytes: number): boolean {
    const { at, room, since } = this.#measured;
    return Date.now() - at > measureEveryMs || since + bytes > room / 8;
  }
}

function encode(
  entries: readonly NewFields[],
  step: Step,
): { args: (string | number | Buffer)[]; bytes: number } {
  const args: (string | number | Buffer)[] = [entries.length];
  let bytes = 0;
  for (const entry of entries) {
    const at = args.push(0) - 1;
    for (const name in entry) {
      const value = entry[name]!;
      args.push(name, value);
      bytes += name.length + (typeof value === 'string' ? Buffer.byteLength(value) : value.length);
    }
    args[at] = args.length - at - 1;
  }
  args.push(step.commands.length);
  for (const command of step.commands) args.push(command.length, ...command);
  return { args, bytes };
}

/** The entries of a batch share the millisecond of the first and count on from it. */
function idsFrom(first: string, count: number): string[] {
  if (count === 0) return [];
  const [ms, seq] = first.split('-') as [string, string];
  return Array.from({ length: count }, (_, i) => `${ms}-${Number(seq) + i}`);
}
