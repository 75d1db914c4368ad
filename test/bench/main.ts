/**
 * Benches of the pipeline against what others do, and against what PostgreSQL
 * and Redis can do at all. Dated results: docs/benchmarks.md.
 *
 *   pnpm bench                                    all, one process each
 *   pnpm bench NAME [--json] [--file CAR] [--records N] [--rounds N] [--only WORD] [--profile]
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { BenchOptions } from './options.ts';

const benches: Record<string, () => Promise<{ bench(options: BenchOptions): Promise<void> }>> = {
  car: () => import('./car.ts'),
  firehose: () => import('./firehose.ts'),
  streams: () => import('./streams.ts'),
  index: () => import('./index-bench.ts'),
  bulk: () => import('./bulk.ts'),
  e2e: () => import('./e2e.ts'),
  latency: () => import('./latency.ts'),
  scale: () => import('./scale.ts'),
  rates: () => import('./rates.ts'),
  hosts: () => import('./hosts.ts'),
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    file: { type: 'string' },
    records: { type: 'string' },
    rounds: { type: 'string' },
    only: { type: 'string' },
    profile: { type: 'boolean', default: false },
  },
});

const [name, ...more] = positionals;
if (name === undefined) all();
else if (!Object.hasOwn(benches, name) || more.length > 0) {
  console.error(`usage: pnpm bench [${Object.keys(benches).join(' | ')}] [--json] [--records N] …`);
  process.exitCode = 2;
} else {
  const { bench } = await benches[name]!();
  const { json, file, only, profile } = values;
  await bench({
    json,
    profile,
    ...(file !== undefined && { file }),
    ...(only !== undefined && { only }),
    ...(values.records !== undefined && { records: positive('records', values.records) }),
    ...(values.rounds !== undefined && { rounds: positive('rounds', values.rounds) }),
  });
}

/** A process each: no bench runs in the heap that another has left. */
function all(): void {
  for (const bench of Object.keys(benches)) {
    const args = [fileURLToPath(import.meta.url), bench, ...process.argv.slice(2)];
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${option} should be a number above 0, is ${text}`);
  process.exit(2);
}
