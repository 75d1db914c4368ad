import { verifyRepoCar } from '@atproto/repo';
import { expect, test } from 'vitest';
import { Network } from '../index.ts';
import { boundaries } from '../protocol/car.ts';
import { didKey } from '../protocol/keys.ts';
import { cutBody } from './bodies.ts';
import { CAR_FAULTS, type CarFaultName } from './cars.ts';

const network = new Network({ seed: 2, repos: 12, recordsPerRepo: 60 });
const account = network.world.accounts.find(({ repo }) => repo.records.size > 30)!;

/** What @atproto/repo takes without a word, or dies of. */
const UNNOTICED = new Set<string>([
  'car-future-rev',
  'car-bad-rev',
  'car-empty-block',
  'car-subtree-bomb',
  'car-deep-chain',
  'car-very-deep-chain',
  'car-unordered',
  'car-duplicate-key',
  'car-wrong-layer',
  'car-bad-prefix',
  'car-lazy-prefix',
  'car-negative-prefix',
  'car-bad-key',
  'car-deep-key',
  'car-dots-key',
  'car-long-key',
  'car-deep-cbor',
]);

test('hostile CARs are not the true one, and each is the same every time', () => {
  for (const [name, make] of Object.entries(CAR_FAULTS)) {
    const bytes = make(account);
    expect(bytes.equals(account.repo.car()), name).toBe(false);
    expect(bytes.equals(make(account)), name).toBe(true);
  }
});

test('broken CARs are refused by the reference', async () => {
  for (const name of Object.keys(CAR_FAULTS) as CarFaultName[]) {
    if (UNNOTICED.has(name)) continue;
    const verified = verifyRepoCar(CAR_FAULTS[name](account), account.did, didKey(account.key));
    await expect(verified, name).rejects.toThrow();
  }
});

test('trees that no honest software makes are signed and hashed as they should be', () => {
  for (const name of ['car-unordered', 'car-subtree-bomb', 'car-wrong-layer', 'car-bad-prefix'] as const) {
    const bytes = CAR_FAULTS[name](account);
    expect(boundaries(bytes).at(-1), name).toBe(bytes.length);
  }
  expect(boundaries(CAR_FAULTS['car-subtree-bomb'](account)).length - 1).toBe(1 + 1 + 1 + 19);
});

test('a CAR is cut where it is said', () => {
  const whole = account.repo.car();
  const places = boundaries(whole);
  expect(cutBody(whole, { block: 2 }).length).toBe(places[2]);
  expect(cutBody(whole, { byte: 17 }).length).toBe(17);
  expect(cutBody(whole, { block: 1e9 }).length).toBeLessThan(whole.length);
});
