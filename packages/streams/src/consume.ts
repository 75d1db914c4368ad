import { sleep, untilAborted } from '@headwater/ops';
import { isCluster } from './connect.ts';
import { Endings } from './endings.ts';
import { within } from './errors.ts';
import { Hand, type Held } from './hand.ts';
import { keysOf } from './keys.ts';
import { Lane } from './lane.ts';
import { Lanes } from './lanes.ts';
import { type ConsumeOptions, type Settings, withDefaults } from './options.ts';
import { giveBack, Reader } from './reader.ts';
import { Settler } from './settler.ts';
import { Upkeep } from './upkeep.ts';

/** Time that handing back may take at the end. */
const handBackMs = 2000;
/** Time that writes have to end once they are told to. */
const graceMs = 1000;

/**
 * Consumes streams as a member of a group until the signal aborts: every
 * entry is decoded, written in a batch and then acknowledged and deleted.
 * Delivery is at least once, in no order. With `key`, entries of one key are
 * in one lane and never written at once; without it, `concurrency` workers
 * pull.
 *
 * Redis being away, restarted or emptied and writes that fail are waited out.
 * After the signal the batches being written are finished (for `drainMs`),
 * the rest is handed back for others to take over at once.
 *
 * @throws RangeError when an option makes no sense
 */
export async function consume<T>(options: ConsumeOptions<T>): Promise<void> {
  await new Consumer(withDefaults(options)).run();
}

class Consumer<T> {
  readonly #settings: Settings<T>;
  readonly #hand: Hand<T>;
  readonly #lanes: Lane<T>[];
  readonly #settler: Settler<T>;
  readonly #reader: Reader<T>;
  readonly #upkeep: Upkeep<T>;
  readonly #hard = new AbortController();

  constructor(settings: Settings<T>) {
    const { redis, maxEntries, maxBytes, metrics, streams } = settings;
    if (streams.length === 0) throw new RangeError('no stream to consume');
    const slots = new Set(streams.map((stream) => keysOf(redis, stream).dead));
    if (slots.size > 1 && isCluster(redis)) throw new RangeError('streams of one consumer must share a slot');
    this.#settings = settings;
    this.#hand = new Hand<T>(
      { entries: maxEntries, bytes: maxBytes },
      {
        changed: (entries, bytes) => metrics.inHand(streams[0]!, entries, bytes),
        removed: (entry) => lanes.end(entry),
      },
    );
    const limits = { items: settings.batchItems, bytes: settings.batchBytes, ms: settings.batchMs };
    this.#lanes = Array.from(
      { length: settings.key ? settings.lanes : 1 },
      () => new Lane<T>(limits, this.#hand),
    );
    const lanes = new Lanes<T>(this.#lanes);
    const accept = (entry: Held<T>) => lanes.accept(entry);
    const endings = new Endings(settings, this.#hand, this.#hard.signal);
    this.#settler = new Settler(settings, endings, accept, this.#hard.signal);
    this.#reader = new Reader(settings, this.#hand, endings, accept);
    this.#upkeep = new Upkeep(settings, this.#hand);
  }

  async run(): Promise<void> {
    const { signal } = this.#settings;
    const written = new AbortController();
    const keeping = this.#upkeep.keep(written.signal);
    const reading = Promise.all([this.#reader.run(signal), this.#upkeep.run(signal)]);
    const workers = this.#lanes.flatMap((lane) =>
      Array.from({ length: this.#settings.key ? 1 : this.#settings.concurrency }, () => this.#work(lane)),
    );
    await this.#drain(Promise.all(workers));
    written.abort();
    await within(Promise.all([reading, keeping]), handBackMs);
    await this.#handBack();
  }

  async #work(lane: Lane<T>): Promise<void> {
    for (;;) {
      const batch = await lane.take(this.#settings.signal);
      if (!batch) return;
      await this.#settler.settle(batch);
    }
  }

  /** Waits for the workers; after the signal no longer than the time to drain. */
  async #drain(workers: Promise<unknown>): Promise<void> {
    const { signal, drainMs, log } = this.#settings;
    await untilAborted(signal);
    const over = new AbortController();
    const deadline = async () => {
      await sleep(drainMs, over.signal);
      this.#hard.abort();
      await sleep(graceMs, over.signal);
    };
    const ended = await Promise.race([workers.then(() => true), deadline().then(() => false)]);
    over.abort();
    this.#hard.abort();
    if (ended) return;
    log.warn({ entries: this.#hand.size }, 'writes did not end in time; their entries are handed back');
  }

  async #handBack(): Promise<void> {
    const { log, streams, group } = this.#settings;
    const hand = async () => {
      const entries = await giveBack(this.#settings, { died: false, which: () => true });
      if (entries > 0) log.info({ streams, group, entries }, 'handed unfinished entries back');
      await this.#upkeep.leave();
    };
    await within(hand(), handBackMs);
  }
}
