import type { IngesterMetrics } from '../metrics.ts';
import type { Judgement, Verdict, Verifier } from '../verify/verifier.ts';
import type { Outcome } from './feed.ts';
import type { Ticket } from './ledger.ts';

/** A frame on its way: what it comes to, and its place in the order of arrival. */
export interface Item {
  outcome: Outcome;
  ticket: Ticket;
  /** The bytes, as long as they may have to be kept as a dead letter. */
  frame?: Uint8Array;
}

/** What an item costs while it is in hand: its entry, and what goes with it. */
export function weightOf({ outcome, frame }: Item): number {
  let bytes = 500 + (frame?.length ?? 0);
  for (const value of Object.values(outcome.entry ?? {})) bytes += value.length;
  return bytes;
}

/** One that waits, with what is known of it already. */
interface Waiting {
  item: Item;
  judgement: Judgement | undefined;
  bytes: number;
}

export interface GateOptions {
  verifier: Verifier;
  /** Takes items that are through, those of one repo in the order of their arrival. */
  ready: (item: Item) => void;
  /** What becomes of an item that is refused. */
  refused: (item: Item, verdict: Extract<Verdict, { refused: object }>) => Outcome;
  metrics: IngesterMetrics;
  /** Items that may wait for a document at once, and their bytes. */
  maxItems?: number;
  maxBytes?: number;
}

interface Room {
  items: number;
  bytes: number;
}

/** Batches whose signatures are checked at once: while a thread works on one the next is read. */
const batchesAtOnce = 3;

/**
 * Where signed statements are verified before they go on.
 *
 *     arrived ──key at hand──► through
 *        └── its document is needed ──► waits, and what comes after it of the same repo waits behind it
 *                                          └── settled ──► through, one after the other
 *
 * A repo that waits holds back no other one. What waits is bounded; above the
 * bound nothing more is taken in, and the host's socket is not read.
 */
export class Gate {
  readonly #options: Required<GateOptions>;
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #room: Room = { items: 0, bytes: 0 };
  #onRoom: (() => void)[] = [];
  /** Batches that are being checked, the oldest first; they come through in this order. */
  readonly #checking: Promise<void>[] = [];

  constructor(options: GateOptions) {
    this.#options = { maxItems: 20_000, maxBytes: 48 * 2 ** 20, ...options };
  }

  /** Items that wait for a document. */
  get waiting(): number {
    return this.#room.items;
  }

  /**
   * Takes a batch, in the order of arrival; batches one after the other. May resolve before it is through.
   *
   * @throws the signal's reason
   */
  async admit(items: readonly Item[], signal: AbortSignal): Promise<void> {
    await this.#untilRoom(signal);
    const before = this.#checking.at(-1);
    const verdicts = this.#options.verifier.check(items.flatMap(({ outcome }) => outcome.statement ?? []));
    const placed = Promise.all([verdicts, before]).then(([all]) => this.#placeAll(items, all, signal));
    // Whoever waits for it hears of it; so does the next batch.
    placed.catch(() => {});
    this.#checking.push(placed);
    if (this.#checking.length >= batchesAtOnce) await this.#checking.shift();
  }

  /** Resolves when everything taken is through, or waits for a document. */
  async flush(): Promise<void> {
    await Promise.all(this.#checking.splice(0));
  }

  #placeAll(items: readonly Item[], judgements: Judgement[], signal: AbortSignal): void {
    signal.throwIfAborted();
    let next = 0;
    for (const item of items) {
      const judgement = item.outcome.statement ? judgements[next++]! : undefined;
      this.#place(item, judgement, signal);
    }
  }

  #place(item: Item, judgement: Judgement | undefined, signal: AbortSignal): void {
    const { did } = item.outcome;
    const queue = did === undefined ? undefined : this.#waiting.get(did);
    if (queue) this.#enter(queue, item, judgement);
    else if (judgement === undefined) this.#options.ready(slim(item));
    else if (!('undecided' in judgement)) this.#end(item, judgement);
    else {
      const first: Waiting[] = [];
      this.#waiting.set(did!, first);
      this.#enter(first, item, judgement);
      this.#settle(did!, first, signal).catch(() => {
        // Only the signal ends it early, and then all that waits is read again by the next start.
      });
    }
  }

  /** Settles a repo's items in their order until none is left. */
  async #settle(did: string, queue: Waiting[], signal: AbortSignal): Promise<void> {
    for (let first = queue[0]; first; first = queue[0]) {
      const { item, judgement } = first;
      const verdict =
        judgement && 'undecided' in judgement
          ? await this.#options.verifier.settle(judgement.undecided, signal)
          : judgement;
      signal.throwIfAborted();
      this.#leave(queue);
      if (verdict) this.#end(item, verdict);
      else this.#options.ready(item);
    }
    this.#waiting.delete(did);
  }

  #end(item: Item, verdict: Verdict): void {
    const { metrics, ready, refused } = this.#options;
    if ('ok' in verdict) {
      metrics.verdict(verdict.ok);
      ready(slim(item));
    } else {
      metrics.verdict('refused');
      ready(slim({ ...item, outcome: refused(item, verdict) }));
    }
  }

  #enter(queue: Waiting[], whole: Item, judgement: Judgement | undefined): void {
    // Where the bytes are at fault they have to be kept.
    const item = judgement && 'refused' in judgement ? whole : slim(whole);
    const bytes = weightOf(item);
    queue.push({ item, judgement, bytes });
    this.#room.items++;
    this.#room.bytes += bytes;
  }

  #leave(queue: Waiting[]): void {
    const { bytes } = queue.shift()!;
    this.#room.items--;
    this.#room.bytes -= bytes;
    if (this.#isFull()) return;
    for (const go of this.#onRoom.splice(0)) go();
  }

  #isFull(): boolean {
    const { maxItems, maxBytes } = this.#options;
    return this.#room.items >= maxItems || this.#room.bytes >= maxBytes;
  }

  async #untilRoom(signal: AbortSignal): Promise<void> {
    while (this.#isFull()) {
      await new Promise<void>((resolve) => {
        this.#onRoom.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
      signal.throwIfAborted();
    }
  }
}

/** The item without what is not needed any more: a frame keeps alive all that came with it through the socket. */
export function slim({ outcome, ticket, frame }: Item): Item {
  const { statement: _, labels: __, ...rest } = outcome;
  return { outcome: rest, ticket, ...(outcome.dead && frame && { frame }) };
}
