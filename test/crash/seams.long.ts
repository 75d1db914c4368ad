import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SEAMS } from '@headwater/ops';
import { expect, it, onTestFinished } from 'vitest';
import { runDisorder, summarize } from '../disorder/run.ts';

const SEED = Number(process.env['TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

/** Faults that lead to the seams of repairs, retries and dead letters. */
const FAULTS = { calls: 0.05, events: 0.01, poisoned: 4, streamEvery: 200, oddEvery: 50 };

it(`every service dies at every seam, and the tables equal the truth, seed ${SEED}`, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-seams-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const hook = fileURLToPath(new URL('./kill-at-seams.ts', import.meta.url));
  const report = await runDisorder({
    seed: SEED,
    repos: 40,
    recordsPerRepo: 20,
    operations: 1500,
    perSecond: 60,
    faults: FAULTS,
    rates: { delete: 10, hide: 10, reactivate: 10, create: 10 },
    quietMs: 120_000,
    nodeArgs: ['--import', hook],
    // An innocent entry may be in hand at several seams.
    env: {
      SEAM_FOLDER: folder,
      SEAM_SEED: `${SEED}`,
      INDEXER_MAX_ATTEMPTS: '40',
      BACKFILLER_MAX_ATTEMPTS: '12',
    },
  });
  const killed = await readdir(join(folder, 'killed'));
  const visits = await visitsOf(folder);
  for (const name of SEAMS) {
    const services = killed.filter((file) => file.endsWith(` ${name}`)).map((file) => file.split(' ')[0]);
    console.log(`${name}: ${visits.get(name) ?? 0} visits, killed ${services.join(', ') || 'nobody'}`);
  }
  console.log(`seed ${SEED}: ${report.kills} kills, ${report.seconds.quiet.toFixed(1)} s to quiet`);
  expect(summarize(report), `repeat with TEST_SEED=${SEED} pnpm test:long seams`).toBe('');
  expect(SEAMS.filter((name) => !killed.some((file) => file.endsWith(` ${name}`)))).toEqual([]);
}, 240_000);

/** Passages of each seam, over all processes. */
async function visitsOf(folder: string): Promise<Map<string, number>> {
  const total = new Map<string, number>();
  for (const file of await readdir(join(folder, 'visits'))) {
    const counts = JSON.parse(await readFile(join(folder, 'visits', file), 'utf8')) as Record<string, number>;
    for (const [name, count] of Object.entries(counts)) total.set(name, (total.get(name) ?? 0) + count);
  }
  return total;
}
