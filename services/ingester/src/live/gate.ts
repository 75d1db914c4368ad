import type { IngesterMetrics } from '../metrics.ts';
import type { Verdict, Verifier } from '../verify/verifier.ts';
import type { Outcome } from './feed.ts';
import type { Ticket } from './ledger.ts';

/** A frame on its way: what it comes to, and its place in the order of arrival. */
export interface Item {
  outcome: Outcome;
  ticket: Ticket;
  frame: Uint8Array;
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

/** What a waiting item costs beside its frame: its entry, its blocks' index. */
const itemFactor = 2;

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
  readonly #waiting = new Map<string, Item[]>();
  readonly #room: Room = { items: 0, bytes: 0 };
  #onRoom: (() => void)[] = [];

  constructor(options: GateOptions) {
    this.#options = { maxItems: 20_000, maxBytes: 64 * 2 ** 20, ...options };
  }

  /** Items that wait for a document. */
  get waiting(): number {
    return this.#room.items;
  }

  /**
   * Takes a batch, in the order of arrival; batches one after the other.
   *
   * @throws the signal's reason
   */
  async admit(items: readonly Item[], signal: AbortSignal): Promise<void> {
    await this.#untilRoom(signal);
    const statements = items.map(({ outcome }) => outcome.statement);
    const verdicts = await this.#options.verifier.check(statements.filter((one) => one !== undefined));
    signal.throwIfAborted();
    let next = 0;
    items.forEach((item, i) => {
      const verdict = statements[i] ? verdicts[next++] : undefined;
      this.#place(item, verdict, signal);
    });
  }

  #place(item: Item, verdict: Verdict | undefined, signal: AbortSignal): void {
    const { did, statement } = item.outcome;
    const queue = did === undefined ? undefined : this.#waiting.get(did);
    if (queue) this.#enter(queue, item);
    else if (statement === undefined) this.#options.ready(item);
    else if (verdict) this.#end(item, verdict);
    else {
      const first: Item[] = [];
      this.#waiting.set(did!, first);
      this.#enter(first, item);
      this.#settle(did!, first, signal).catch(() => {
        // Only the signal ends it early, and then all that waits is read again by the next start.
      });
    }
  }

  /** Settles a repo's items in their order until none is left. */
  async #settle(did: string, queue: Item[], signal: AbortSignal): Promise<void> {
    for (let item = queue[0]; item; item = queue[0]) {
      const { statement } = item.outcome;
      const verdict = statement && (await this.#options.verifier.settle(statement, signal));
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
      ready(item);
    } else {
      metrics.verdict('refused');
      ready({ ...item, outcome: refused(item, verdict) });
    }
  }

  #enter(queue: Item[], item: Item): void {
    queue.push(item);
    this.#room.items++;
    this.#room.bytes += item.frame.length * itemFactor;
  }

  #leave(queue: Item[]): void {
    const item = queue.shift()!;
    this.#room.items--;
    this.#room.bytes -= item.frame.length * itemFactor;
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
