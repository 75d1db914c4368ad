import { P256Keypair, Secp256k1Keypair } from '@atproto/crypto';
import { expect, it } from 'vitest';
import {
  isGood,
  SignatureChecker,
  type SignatureJob,
} from '../../services/ingester/src/verify/signatures.ts';

async function jobs(count: number): Promise<{ jobs: SignatureJob[]; good: boolean[] }> {
  const keys = await Promise.all([
    Secp256k1Keypair.create(),
    P256Keypair.create(),
    Secp256k1Keypair.create(),
  ]);
  const made = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const unsigned = Buffer.from(`commit ${i} ${'x'.repeat(i % 50)}`);
      const signer = keys[i % 3]!;
      const sig = await signer.sign(i % 5 === 4 ? Buffer.from('another') : unsigned);
      const key = i % 7 === 6 ? 'did:key:zNonsense' : signer.did();
      return { job: { key, unsigned, sig }, good: i % 5 !== 4 && i % 7 !== 6 };
    }),
  );
  return { jobs: made.map(({ job }) => job), good: made.map(({ good }) => good) };
}

it('judges in its thread as on the spot, of both curves, and leaves the bytes alone', async () => {
  await using checker = new SignatureChecker();
  const { jobs: all, good } = await jobs(70);
  expect(all.map(isGood)).toEqual(good);
  expect(await checker.verify(all)).toEqual(good);
  expect(await checker.verify(all.slice(0, 2))).toEqual(good.slice(0, 2));
  expect(await checker.verify([])).toEqual([]);
  const several = await Promise.all([all, all.toReversed(), all].map((list) => checker.verify(list)));
  expect(several).toEqual([good, good.toReversed(), good]);
});

it('does not hold up the event loop', async () => {
  await using checker = new SignatureChecker();
  const { jobs: all } = await jobs(60);
  await checker.verify(all);
  const many = Array.from({ length: 50 }, () => all).flat();
  let longest = 0;
  let last = performance.now();
  const tick = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 1);
  const started = performance.now();
  await checker.verify(many);
  const took = performance.now() - started;
  clearInterval(tick);
  expect(longest).toBeLessThan(took / 3);
});

it('goes on without its thread, and with another one later', async () => {
  await using checker = new SignatureChecker();
  const { jobs: all, good } = await jobs(20);
  const interrupted = checker.verify(all);
  await checker[Symbol.asyncDispose]();
  expect(await interrupted).toEqual(good);
  expect(await checker.verify(all)).toEqual(good);
});
