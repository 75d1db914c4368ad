import { expect, it } from 'vitest';
import { type Claim, Doubles } from './doubles.ts';

const key = (n: number) => Doubles.keyOf(`did:plc:${n}`, `rev${n}`, `cid${n}`);

it('knows what is durable, and holds back copies of what is on its way', () => {
  const doubles = new Doubles();
  expect(doubles.find(key(1))).toBeUndefined();
  const claim = doubles.claim(key(1));
  const seen: string[] = [];
  const second = doubles.find(key(1)) as Claim;
  expect(second).toBe(claim);
  second.waiters.push({ done: () => seen.push('done'), lost: () => seen.push('lost') });
  expect(seen).toEqual([]);
  doubles.durable(claim);
  expect(seen).toEqual(['done']);
  expect(doubles.find(key(1))).toBe('durable');
});

it('lets the next copy stand for itself when the first was refused', () => {
  const doubles = new Doubles();
  doubles.refused(doubles.claim(key(1)));
  expect(doubles.find(key(1))).toBeUndefined();
});

it('tells who waits when the first copy will never be durable', () => {
  const doubles = new Doubles();
  const claim = doubles.claim(key(1));
  const lost: Error[] = [];
  claim.waiters.push({ done: () => expect.fail(), lost: (err) => lost.push(err) });
  doubles.lost(claim);
  doubles.lost(claim);
  expect(lost).toHaveLength(1);
  expect(doubles.find(key(1))).toBeUndefined();
});

it('is bounded: remembers at least the last half of its size, and forgets what is older than its size', () => {
  const doubles = new Doubles(100);
  for (let n = 0; n < 1000; n++) {
    doubles.durable(doubles.claim(key(n)));
    for (let back = 0; back < Math.min(n, 100); back++) expect(doubles.find(key(n - back))).toBe('durable');
  }
  expect(doubles.find(key(700))).toBeUndefined();
});
