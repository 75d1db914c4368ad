import { spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface TestRun {
  /** `broken`: a file could not even be loaded, or nothing ran. */
  outcome: 'passed' | 'failed' | 'broken' | 'timeout';
  /** The first test that failed, or what is broken. */
  detail: string;
  seconds: number;
}

interface Report {
  numTotalTests: number;
  success: boolean;
  testResults: { name: string; message: string; assertionResults: { status: string; fullName: string }[] }[];
}

/** Runs test files in a folder with vitest, up to the first that fails. */
export async function runTests(folder: string, tests: readonly string[], limitMs: number): Promise<TestRun> {
  const started = performance.now();
  const file = join(folder, 'mutants-report.json');
  await rm(file, { force: true });
  const ended = await vitest(
    folder,
    [...tests, '--bail', '1', '--reporter=json', `--outputFile=${file}`],
    limitMs,
  );
  const seconds = (performance.now() - started) / 1000;
  if (ended === 'timeout') return { outcome: 'timeout', detail: `not done after ${limitMs} ms`, seconds };
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return { outcome: 'broken', detail: 'vitest wrote no report', seconds };
  return { ...judge(JSON.parse(text)), seconds };
}

function judge(report: Report): Omit<TestRun, 'seconds'> {
  const tests = report.testResults.flatMap((file) => file.assertionResults);
  const failed = tests.find((test) => test.status === 'failed');
  if (failed) return { outcome: 'failed', detail: failed.fullName };
  if (report.success && tests.length > 0) return { outcome: 'passed', detail: '' };
  const broken = report.testResults.find((file) => file.message !== '');
  return { outcome: 'broken', detail: broken?.message.split('\n')[0] ?? 'no test ran' };
}

function vitest(folder: string, args: string[], limitMs: number): Promise<'timeout' | 'ended'> {
  const main = join(folder, 'node_modules/vitest/vitest.mjs');
  const env = { ...process.env, CI: '' };
  const child = spawn(process.execPath, [main, 'run', ...args], { cwd: folder, env, stdio: 'ignore' });
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGTERM');
      setTimeout(() => child.kill('SIGKILL'), 10_000).unref();
    }, limitMs);
    child.once('error', reject);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve(late ? 'timeout' : 'ended');
    });
  });
}
