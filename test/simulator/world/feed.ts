import { type Frame, withSeq } from '../protocol/frame.ts';

/** What an event is about, for tests and faults. */
export interface About {
  type: string;
  did?: string;
  rev?: string;
}

interface Entry extends About {
  seq: number;
  /** Bytes: a frame that has no place for a seq, as broken ones. */
  frame: Frame | Buffer;
}

/** The events of one subscription of one host, with the newest `window` of them to be replayed. */
export class Feed {
  readonly window: number;
  #entries: Entry[] = [];
  #next: number;
  #listeners = new Set<() => void>();
  /** Seq up to which somebody was sent everything. */
  #sent: number;

  /** @param next the first event's seq */
  constructor({ window, next }: { window: number; next: number }) {
    this.window = window;
    this.#next = next;
    this.#sent = next - 1;
  }

  /** Seq of the newest event; one below the first one's if there is none yet. */
  get newest(): number {
    return this.#next - 1;
  }

  /** Seq of the oldest event that can be replayed. */
  get oldest(): number {
    return this.#entries[0]?.seq ?? this.#next;
  }

  push(frame: Frame | Buffer, about: About): number {
    const seq = this.#next++;
    this.#entries.push({ seq, frame, ...about });
    // In larger steps: shift() of a long array is dear.
    if (this.#entries.length > this.window * 1.25 + 16) {
      this.#entries.splice(0, this.#entries.length - this.window);
    }
    for (const listener of this.#listeners) listener();
    return seq;
  }

  /** Takes seqs that no event will ever have, as after a loss at the source. */
  skip(count: number): void {
    this.#next += count;
  }

  /** Goes on at another seq; what was there is forgotten. */
  reset(next: number): void {
    this.#entries = [];
    this.#next = next;
    this.#sent = next - 1;
  }

  /** Forgets all but the newest `keep` events, and returns what is forgotten. */
  forget(keep: number): Readonly<Entry>[] {
    return this.#entries.splice(0, Math.max(0, this.#entries.length - keep));
  }

  /**
   * Loses those of the newest `count` events that are about records, and
   * returns them. With `renumber` the seqs behind them close up.
   */
  loseNewest(count: number, renumber: boolean): Readonly<Entry>[] {
    const newest = this.#entries.splice(Math.max(0, this.#entries.length - count));
    const lost = newest.filter(({ rev }) => rev !== undefined);
    const kept = newest.filter(({ rev }) => rev === undefined);
    if (renumber) {
      this.#next -= lost.length;
      kept.forEach((entry, i) => {
        entry.seq = this.#next - kept.length + i;
      });
    }
    this.#entries.push(...kept);
    return lost;
  }

  /** Takes note that somebody was sent the event of this seq, and all before it. */
  sent(seq: number): void {
    this.#sent = Math.max(this.#sent, seq);
  }

  /**
   * Somebody begins above `seq`: returns what nobody was sent before and nobody
   * will be; with a cursor of another sequence (`isLost`) everything, since what
   * was sent of this one may not have been kept.
   */
  passOver(seq: number, isLost: boolean): Readonly<Entry>[] {
    const from = isLost ? Number.NEGATIVE_INFINITY : this.#sent;
    const passed = this.#entries.filter((entry) => entry.seq > from && entry.seq <= seq);
    this.sent(Math.min(seq, this.newest));
    return passed;
  }

  /** The first event above a seq. */
  after(seq: number): { seq: number; bytes: Buffer } | undefined {
    const entry = this.#entries[this.#indexAfter(seq)];
    if (!entry) return undefined;
    const { frame } = entry;
    return { seq: entry.seq, bytes: Buffer.isBuffer(frame) ? frame : withSeq(frame, entry.seq) };
  }

  /** What is to be replayed, without the bytes. */
  entries(): readonly Readonly<Entry>[] {
    return this.#entries;
  }

  onPush(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #indexAfter(seq: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const mid = (low + high) >> 1;
      if (this.#entries[mid]!.seq <= seq) low = mid + 1;
      else high = mid;
    }
    return low;
  }
}
