// npm test: the set-up, then every stage that has to pass, the first failure ending it.
// Arguments go to vitest: npm test -- packages/streams
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, runOrExplain, say, setUp } from './setup.mjs';

await runOrExplain(async () => {
  const began = Date.now();
  const { node, env } = await setUp({ redis: true });
  const bin = (name) => join(root, 'node_modules/.bin', name);
  const report = join(root, '.headwater/test-report.json');
  mkdirSync(join(root, '.headwater'), { recursive: true });
  rmSync(report, { force: true });
  const stages = [
    ['lint and format', bin('biome'), ['check', '.']],
    ['types', bin('tsc'), ['--noEmit', '-p', 'tsconfig.json']],
    ['generated documents', node, ['packages/ops/src/settings/document-main.ts', '--check']],
    [
      'tests',
      bin('vitest'),
      [
        'run',
        '--reporter=default',
        '--reporter=json',
        `--outputFile.json=${report}`,
        ...process.argv.slice(2),
      ],
    ],
  ];
  for (const [name, command, args] of stages) {
    const stageBegan = Date.now();
    say(name);
    const code = await run(command, args, env);
    if (code !== 0 && name !== 'tests') {
      say(`${name}: failed`);
      return 1;
    }
    say(`${name}: ${code === 0 ? 'done' : 'failed'} in ${seconds(stageBegan)}`);
    if (name === 'tests') return close(code, report, began);
  }
});

/** The closing line, from vitest's own report: `N passed, N failed`. */
function close(code, report, began) {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = result;
  // A file that failed outside its tests (a leak, a hook) fails the run without a failed test.
  const files = result.testResults.filter((file) => file.status === 'failed').length;
  const bad = Math.max(failed, files, code === 0 ? 0 : 1);
  say(`all stages in ${seconds(began)}`);
  console.log(`${passed} passed, ${bad} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
  return code === 0 && bad === 0 && passed > 0 ? 0 : 1;
}

function seconds(since) {
  return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}
