// Writes deploy/grafana/dashboards/*.json; with --check exits 1 when they are not up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { overview } from './overview.ts';
import { dashboard } from './panels.ts';

const files: [string, ReturnType<typeof dashboard>][] = [
  ['overview.json', dashboard('headwater-overview', 'Headwater', overview)],
];

for (const [name, content] of files) {
  const url = new URL(`dashboards/${name}`, import.meta.url);
  const wanted = text(content);
  if (!process.argv.includes('--check')) writeFileSync(url, wanted);
  else if (readFileSync(url, 'utf8') !== wanted) {
    console.error(`${name} is not what the script makes: node deploy/grafana/dashboards.ts`);
    process.exitCode = 1;
  }
}

/** One line a panel: a change shows as what it is. */
function text({ panels, ...rest }: ReturnType<typeof dashboard>): string {
  const head = JSON.stringify(rest, null, 1).slice(0, -2);
  return `${head},\n "panels": [\n${panels.map((panel) => JSON.stringify(panel)).join(',\n')}\n]}\n`;
}
