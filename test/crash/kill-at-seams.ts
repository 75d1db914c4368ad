/**
 * Loaded into a service by `node --import`, before its own modules: ends the
 * process by SIGKILL at every seam that it passes, once for each in the whole
 * run. SEAM_FOLDER is where the processes of a run agree on what is done:
 * `killed/SERVICE SEAM` and, for each process, `visits/PID` with its counts.
 *
 * SEAM_SEED decides on which of the first visits of a process it dies.
 */
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const folder = process.env['SEAM_FOLDER']!;
const service = basename(dirname(dirname(process.argv[1]!)));
const visits: Record<string, number> = {};
const done = new Set<string>();
let random = (Number(process.env['SEAM_SEED']) + process.pid) >>> 0;
for (const name of ['killed', 'visits']) mkdirSync(join(folder, name), { recursive: true });

function seam(name: string): void {
  visits[name] = (visits[name] ?? 0) + 1;
  if (done.has(name) || !isDue(name, visits[name])) return;
  done.add(name);
  if (!claim(name)) return;
  save();
  process.kill(process.pid, 'SIGKILL');
}

/** Passed a few times in a run: the first time has to do. */
const RARE = new Set([
  'ingester:stream-begun',
  'ingester:missed-noted',
  'backfiller:unavailable-noted',
  'backfiller:failed-noted',
  'indexer:labels-written',
  'indexer:gaps-sent',
  'indexer:departure-settled',
  'indexer:purged',
]);

/** The first visits are as good as later ones, but not always. */
function isDue(name: string, visit: number): boolean {
  if (RARE.has(name)) return true;
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  return visit > 20 || random / 2 ** 32 < 0.4;
}

/** @returns false where another process of this service has died there before */
function claim(name: string): boolean {
  try {
    openSync(join(folder, 'killed', `${service} ${name}`), 'wx');
    return true;
  } catch {
    return false;
  }
}

function save(): void {
  writeFileSync(join(folder, 'visits', `${process.pid}`), JSON.stringify(visits));
}

process.on('exit', save);
(globalThis as { [key: symbol]: unknown })[Symbol.for('headwater.seam')] = seam;
