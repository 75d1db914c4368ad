/** A frame between the socket and its durable end. */
export interface Ticket {
  seq: number | undefined;
  /** `open` until it is durable: written, or deliberately left out in the same step as its neighbours. */
  state: 'open' | 'writing' | 'done';
}

/** How many settled tickets are kept before the list is moved down. */
const slack = 1024;

/**
 * The frames of one host in the order of their arrival, to know how far the
 * cursor may go: up to the last one before the first that is not durable. By
 * arrival and not by number, since a host may start its numbers again.
 */
export class Ledger {
  #tickets: Ticket[] = [];
  /** Those before this one are durable. */
  #first = 0;

  /** A frame has arrived. */
  open(seq: number | undefined): Ticket {
    const ticket: Ticket = { seq, state: 'open' };
    this.#tickets.push(ticket);
    return ticket;
  }

  /** Where the cursor may stand once these are durable too; undefined where it stays. */
  after(tickets: readonly Ticket[]): number | undefined {
    for (const ticket of tickets) if (ticket.state === 'open') ticket.state = 'writing';
    let seq: number | undefined;
    for (let i = this.#first; i < this.#tickets.length; i++) {
      const ticket = this.#tickets[i]!;
      if (ticket.state === 'open') break;
      seq = ticket.seq ?? seq;
    }
    return seq;
  }

  /** What was being written is durable. */
  settle(tickets: readonly Ticket[]): void {
    for (const ticket of tickets) ticket.state = 'done';
    while (this.#tickets[this.#first]?.state === 'done') this.#first++;
    if (this.#first < slack) return;
    this.#tickets = this.#tickets.slice(this.#first);
    this.#first = 0;
  }

  /** From here on nothing that came before decides on the cursor: its numbers mean nothing any more. */
  forget(): void {
    this.#tickets = [];
    this.#first = 0;
  }

  /** Frames that are not durable, or stand behind one that is not. */
  get size(): number {
    return this.#tickets.length - this.#first;
  }
}
