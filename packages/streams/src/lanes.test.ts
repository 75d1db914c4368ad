import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Hand, type Held } from './hand.ts';
import { Lane } from './lane.ts';
import { Lanes } from './lanes.ts';

const entry = (n: number, key: string, count = 1): Held<number> => ({
  ...{ stream: 's', id: `${n}-0`, item: n, key, count, bytes: 1 },
  ...{ attempts: 0, deliveries: 1, alone: false, suspect: false, writing: false },
});

function make(count: number) {
  const hand = new Hand<number>(
    { entries: 1000, bytes: 1000 },
    { changed: () => undefined, removed: (entry) => lanes.end(entry) },
  );
  const each = Array.from(
    { length: count },
    () => new Lane<number>({ items: 100, bytes: 1000, ms: 0 }, hand),
  );
  const queued = each.map(() => [] as Held<number>[]);
  each.forEach((lane, i) => {
    lane.push = (entry) => void queued[i]!.push(entry);
  });
  const lanes = new Lanes(each);
  const accept = (one: Held<number>) => {
    hand.add(one);
    lanes.accept(one);
  };
  return {
    hand,
    lanes,
    accept,
    queued,
    laneOf: (one: Held<number>) => queued.findIndex((q) => q.includes(one)),
  };
}

it('shares keys out by what each lane has to do', () => {
  const { accept, queued, hand } = make(3);
  const large = entry(0, 'large', 10);
  accept(large);
  for (let n = 1; n <= 20; n++) accept(entry(n, `k${n}`));
  expect(queued.map((all) => all.length)).toEqual([1, 10, 10]);
  hand.remove(large);
  for (let n = 21; n <= 30; n++) accept(entry(n, `k${n}`));
  expect(queued.map((all) => all.length)).toEqual([11, 10, 10]);
});

it('never has entries of one key in two lanes', () => {
  const step = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    end: fc.nat(4),
    again: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { accept, lanes, hand, laneOf } = make(3);
      const held: Held<number>[] = [];
      steps.forEach(({ key, end, again }, n) => {
        const one = entry(n, key);
        accept(one);
        if (again) lanes.accept(one);
        held.push(one);
        const ofKey = new Set(held.filter((other) => other.key === key).map(laneOf));
        expect([...ofKey]).toHaveLength(1);
        if (held.length > end) hand.remove(held.splice(end, 1)[0]!);
      });
    }),
  );
});

it('has nothing to do once all have ended', () => {
  const { accept, hand, queued } = make(2);
  const all = Array.from({ length: 9 }, (_, n) => entry(n, `k${n % 4}`, n));
  all.forEach(accept);
  for (const one of all) hand.remove(one);
  accept(entry(10, 'x', 5));
  accept(entry(11, 'y', 1));
  accept(entry(12, 'z', 1));
  expect(queued.map((q) => q.slice(-2).map(({ key }) => key))).toEqual([
    expect.arrayContaining(['x']),
    ['y', 'z'],
  ]);
});
