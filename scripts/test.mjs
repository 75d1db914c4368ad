// npm test: the set-up, then every stage that has to pass; the first failure ends it.
// Arguments go to vitest: npm test -- packages/streams
// The last line is always of the form `N passed, N failed`.
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, runOrExplain, say, setUp } from './setup.mjs';

const REPORT = join(root, '.headwater/test-report.json');
const REPORTERS = [
  '--reporter=default',
  '--reporter=./test/support/second-go/reporter.ts',
  '--reporter=json',
  `--outputFile.json=${REPORT}`,
];

await runOrExplain(async () => {
  const began = Date.now();
  const { node, env } = await setUp({ redis: true, browser: true });
  const bin = (name) => join(root, 'node_modules/.bin', name);
  const before = [
    ['lint and format', bin('biome'), ['check', '.']],
    ['types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']],
    ['generated documents', node, ['packages/ops/src/settings/document-main.ts', '--check']],
  ];
  for (const [name, command, args] of before) {
    if ((await stage(name, command, args, env)) !== 0) return close({ passed: 0, failed: 1, skipped: 0 });
  }
  mkdirSync(join(root, '.headwater'), { recursive: true });
  rmSync(REPORT, { force: true });
  const code = await stage('tests', bin('vitest'), ['run', ...REPORTERS, ...process.argv.slice(2)], env);
  say(`all stages in ${seconds(began)}`);
  return close(countTests(code));
});

async function stage(name, command, args, env) {
  const began = Date.now();
  say(name);
  const code = await run(command, args, env);
  say(`${name}: ${code === 0 ? 'done' : 'failed'} in ${seconds(began)}`);
  return code;
}

/** From vitest's own report. A run that fails outside its tests (a leak, a hook) has one failure at least. */
function countTests(code) {
  try {
    const report = JSON.parse(readFileSync(REPORT, 'utf8'));
    const files = report.testResults.filter((file) => file.status === 'failed').length;
    const failed = Math.max(report.numFailedTests, files, code === 0 ? 0 : 1);
    return { passed: report.numPassedTests, failed, skipped: report.numPendingTests };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

function close({ passed, failed, skipped }) {
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
