import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify, stripVTControlCharacters } from 'node:util';
import { expect, it } from 'vitest';

const VITEST = join(import.meta.dirname, '../../../node_modules/vitest/vitest.mjs');

it('prints the first failure of a test that passed on its second go, with difference and seed', async () => {
  const config = join(import.meta.dirname, 'vitest.config.ts');
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [VITEST, 'run', '--config', config]);
  expect(stripVTControlCharacters(stdout)).toMatch(/2 passed/);
  const printed = stripVTControlCharacters(stderr);
  expect(printed).toContain('Passed only on a second go: 1');
  expect(printed).toMatch(/SECOND GO {2}flaky\.fixture\.ts > a property > fails on the first go \(go 1,/);
  expect(printed).toContain('seed: 424242');
  expect(printed).toMatch(/-\s+"n": 0,\n\+\s+"n": 1,/);
  expect(printed).not.toContain('passes at once');
});
