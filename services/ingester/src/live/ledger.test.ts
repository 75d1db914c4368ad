import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Ledger, type Ticket } from './ledger.ts';

it('never lets the cursor pass a frame that is not durable, in whatever order they become so', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40), { minLength: 1, maxLength: 60 }), fc.nat(), (order, start) => {
      const ledger = new Ledger();
      const tickets = order.map((_, i) => ledger.open(i % 7 === 3 ? undefined : start + i));
      const done = new Set<Ticket>();
      const left = [...tickets];
      for (const draw of order) {
        const batch = left.splice(draw % (left.length || 1), 1 + (draw % 3));
        const cursor = ledger.after(batch);
        for (const ticket of batch) done.add(ticket);
        const open = tickets.findIndex((ticket) => !done.has(ticket));
        const below = open < 0 ? tickets : tickets.slice(0, open);
        // Undefined: it stays where it was.
        if (cursor !== undefined) expect(below.findLast(({ seq }) => seq !== undefined)!.seq).toBe(cursor);
        ledger.settle(batch);
      }
      expect(ledger.size).toBeLessThanOrEqual(tickets.length);
    }),
  );
});

it('goes by arrival, not by number: a host may begin to count anew', () => {
  const ledger = new Ledger();
  const [old, first, second] = [ledger.open(900), ledger.open(1), ledger.open(2)] as [Ticket, Ticket, Ticket];
  expect(ledger.after([second])).toBeUndefined();
  ledger.settle([second]);
  expect(ledger.after([old])).toBe(900);
  ledger.settle([old]);
  expect(ledger.after([first])).toBe(2);
});

it('does not grow with what is settled', () => {
  const ledger = new Ledger();
  for (let seq = 0; seq < 10_000; seq++) {
    const ticket = ledger.open(seq);
    expect(ledger.after([ticket])).toBe(seq);
    ledger.settle([ticket]);
  }
  expect(ledger.size).toBe(0);
});
