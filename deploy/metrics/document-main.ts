// Writes docs/metrics.md; with --check exits 1 when it is not up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderMetrics } from './document.ts';
import { root } from './scan.ts';

const path = join(root, 'docs/metrics.md');
if (!process.argv.includes('--check')) writeFileSync(path, renderMetrics());
else if (readFileSync(path, 'utf8') !== renderMetrics()) {
  console.error('docs/metrics.md does not say what the code declares: node deploy/metrics/document-main.ts');
  process.exitCode = 1;
}
