// Writes docs/configuration.md and .env.example; with --check exits 1 when they are not up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { renderConfiguration, renderEnvExample } from './document.ts';

const root = new URL('../../../../', import.meta.url);
const check = process.argv.includes('--check');
const files: [string, string][] = [
  ['docs/configuration.md', renderConfiguration()],
  ['.env.example', renderEnvExample()],
];
for (const [name, wanted] of files) {
  const url = new URL(name, root);
  if (!check) writeFileSync(url, wanted);
  else if (readFileSync(url, 'utf8') !== wanted) {
    console.error(`${name} does not say what the code declares: run pnpm docs:settings`);
    process.exitCode = 1;
  }
}
