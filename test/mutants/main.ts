/**
 * `pnpm mutants`: puts deliberate bugs into a copy of the working tree, one at a
 * time, and runs the tests that must notice each.
 *
 *   --only TEXT[,TEXT]  the mutants whose names contain one of these
 *   --list              say what there is
 *   --json              one line of JSON a mutant
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { catalogue } from './catalogue/index.ts';
import { copyTree } from './copy.ts';
import { EditError, type Mutant, mutate } from './mutant.ts';
import { runTests } from './run-tests.ts';

const limitMs = 180_000;
const root = join(import.meta.dirname, '../..');

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});
const wanted = values.only?.split(',') ?? [''];
const mutants = catalogue.filter(({ name }) => wanted.some((text) => name.includes(text)));

interface Result {
  name: string;
  /** A mutant that could not be tried counts as one that survived. */
  outcome: 'killed' | 'survived' | 'stale' | 'broken' | 'timeout';
  detail: string;
  seconds: number;
}

if (values.list) for (const { name, breaks } of mutants) say(`${name.padEnd(36)} ${breaks}`);
else process.exitCode = await main();

async function main(): Promise<number> {
  if (mutants.length === 0) throw new Error(`no mutant is called so: ${values.only}`);
  await using copy = await copyTree(root);
  const tests = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
  const before = await runTests(copy.folder, tests, 10 * limitMs);
  if (before.outcome !== 'passed') {
    say(`the tests do not pass without a mutant: ${before.outcome}: ${before.detail}`);
    return 1;
  }
  if (!values.json) say(`without a mutant ${tests.length} test files pass (${before.seconds.toFixed(0)} s)`);
  const results: Result[] = [];
  for (const mutant of mutants) {
    const result = await attempt(copy.folder, mutant);
    results.push(result);
    report(result);
  }
  const killed = results.filter(({ outcome }) => outcome === 'killed').length;
  say(`${killed} killed, ${results.length - killed} survived`);
  return killed === results.length ? 0 : 1;
}

/** Puts the bug in, runs its tests, and takes it out again. */
async function attempt(folder: string, mutant: Mutant): Promise<Result> {
  const { name, file, tests } = mutant;
  const path = join(folder, file);
  const text = await readFile(path, 'utf8');
  try {
    await writeFile(path, mutate(text, mutant));
  } catch (err) {
    if (!(err instanceof EditError)) throw err;
    return { name, outcome: 'stale', detail: err.message, seconds: 0 };
  }
  try {
    const { outcome, detail, seconds } = await runTests(folder, tests, limitMs);
    const named = { passed: 'survived', failed: 'killed', broken: 'broken', timeout: 'timeout' } as const;
    return { name, outcome: named[outcome], detail, seconds };
  } finally {
    await writeFile(path, text);
  }
}

function report(result: Result): void {
  const { name, outcome, detail, seconds } = result;
  if (values.json) say(JSON.stringify(result));
  else say(`${outcome.padEnd(8)} ${name.padEnd(36)} ${seconds.toFixed(1).padStart(6)} s  ${detail}`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
