import { hash } from 'node:crypto';

/** The first copy of an event will never be durable: whoever left out another copy must read it again. */
export class FirstCopyLostError extends Error {
  override name = 'FirstCopyLostError';
}

interface Waiter {
  done(): void;
  lost(err: FirstCopyLostError): void;
}

/** The first copy on its way to the stream. */
export interface Claim {
  key: string;
  waiters: Waiter[];
}

const halfSize = 200_000;

/**
 * Recognises commits that come a second time: from another relay, or again
 * after a reconnect. Shared by all subscriptions of the process. What it does
 * not know any more is let through, which costs work and does no harm: rows
 * are gated by rev.
 *
 *     unknown ──claim──► on its way ──durable──► recent ──200,000 to 400,000 later──► unknown
 *                            └── refused, or its subscription ended ──► unknown
 *
 * Only what is durable is left out elsewhere; a copy that comes while the
 * first is on its way waits for it. So no relay's cursor passes an event that
 * another relay's failure could still lose.
 */
export class Doubles {
  readonly #onTheirWay = new Map<string, Claim>();
  /** Numbers made of keys, in two generations: the older one is dropped when the newer one is full. */
  #recent = new Set<number>();
  #older = new Set<number>();
  readonly #halfSize: number;

  constructor(size = halfSize) {
    this.#halfSize = size;
  }

  /** What names one version of one repo. */
  static keyOf(did: string, rev: string, commit: string): string {
    return `${did} ${rev} ${commit}`;
  }

  /** Whether the event is durable already, or the claim of its first copy, or undefined for a new one. */
  find(key: string): 'durable' | Claim | undefined {
    const claim = this.#onTheirWay.get(key);
    if (claim) return claim;
    const number = numberOf(key);
    return this.#recent.has(number) || this.#older.has(number) ? 'durable' : undefined;
  }

  claim(key: string): Claim {
    const claim = { key, waiters: [] };
    this.#onTheirWay.set(key, claim);
    return claim;
  }

  /** The first copy is durable. */
  durable(claim: Claim): void {
    this.#end(claim);
    if (this.#recent.size >= this.#halfSize) {
      this.#older = this.#recent;
      this.#recent = new Set();
    }
    this.#recent.add(numberOf(claim.key));
    for (const waiter of claim.waiters) waiter.done();
  }

  /** The first copy was refused: another one has to stand for itself, those that waited are as good as this one. */
  refused(claim: Claim): void {
    this.#end(claim);
    for (const waiter of claim.waiters) waiter.done();
  }

  /** The subscription of the first copy has ended before it was durable. */
  lost(claim: Claim): void {
    if (!this.#end(claim)) return;
    for (const waiter of claim.waiters)
      waiter.lost(new FirstCopyLostError(`the first copy of ${claim.key} is lost`));
  }

  #end(claim: Claim): boolean {
    return this.#onTheirWay.get(claim.key) === claim && this.#onTheirWay.delete(claim.key);
  }
}

/** 48 bits: a number that another key has by chance costs one commit in some 10⁸, which is then found missing. */
function numberOf(key: string): number {
  return hash('sha1', key, 'buffer').readUIntBE(0, 6);
}
