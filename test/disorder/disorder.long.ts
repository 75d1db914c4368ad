import { describe, expect, it } from 'vitest';
import { runDisorder, summarize } from './run.ts';

/**
 * The full disorder test: 20 seeds, or the one of TEST_SEED. Its size can be
 * set for a closer look: TEST_REPOS, TEST_OPERATIONS, TEST_KILL_MS, TEST_FAULTS (JSON).
 */
const { TEST_SEED, TEST_REPOS, TEST_OPERATIONS, TEST_KILL_MS, TEST_FAULTS } = process.env;
const SEEDS = TEST_SEED ? [Number(TEST_SEED)] : Array.from({ length: 20 }, (_, i) => i + 1);
const REPOS = Number(TEST_REPOS ?? 300);
const OPERATIONS = Number(TEST_OPERATIONS ?? 20_000);

describe(`${REPOS} repos, ${OPERATIONS} live operations, all faults, random kills of all services`, () => {
  it.each(SEEDS)('seed %i ends with the truth', { timeout: 600_000 }, async (seed) => {
    const report = await runDisorder({
      seed,
      repos: REPOS,
      recordsPerRepo: 20,
      operations: OPERATIONS,
      perSecond: 800,
      faults: TEST_FAULTS ? JSON.parse(TEST_FAULTS) : 'all',
      killEveryMs: Number(TEST_KILL_MS ?? 1300),
      quietMs: 240_000,
    });
    const { kills, faults, records, seconds } = report;
    console.log(
      `seed ${seed}: ${kills} kills, ${faults} faults, ${records} records; ${seconds.live.toFixed(1)} s live, ${seconds.quiet.toFixed(1)} s to quiet`,
    );
    expect(summarize(report), `repeat with TEST_SEED=${seed} pnpm test:long disorder`).toBe('');
  });
});
