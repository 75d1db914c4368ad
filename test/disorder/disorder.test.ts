import { expect, it } from 'vitest';
import { type DisorderReport, runDisorder, summarize } from './run.ts';

const SEED = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Everything goes wrong far more often than in the long runs, so that a short one sees most of it. */
const FAULTS = { calls: 0.03, events: 0.005, poisoned: 8, streamEvery: 150, oddEvery: 20 };

it(`40 repos end as they should with every fault and every service killed again and again, seed ${SEED}`, async () => {
  const report = await runDisorder({
    seed: SEED,
    repos: 40,
    recordsPerRepo: 20,
    operations: 800,
    perSecond: 80,
    faults: FAULTS,
    killEveryMs: 1000,
    quietMs: 60_000,
  });
  say(report);
  expect(summarize(report), `repeat with TEST_SEED=${SEED}`).toBe('');
}, 120_000);

function say({ seed, kills, faults, records, seconds }: DisorderReport): void {
  console.log(
    `seed ${seed}: ${kills} kills, ${faults} faults, ${records} records; ${seconds.live.toFixed(1)} s live, ${seconds.quiet.toFixed(1)} s to quiet`,
  );
}
