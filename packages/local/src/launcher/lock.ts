import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class AlreadyRunningError extends Error {
  override name = 'AlreadyRunningError';
}

/**
 * One launcher a data folder.
 *
 * @returns a function that gives the folder free
 * @throws AlreadyRunningError while another launcher that lives holds it
 */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'launcher.pid');
  const holder = read(file);
  if (holder !== undefined && isLauncher(holder)) {
    throw new AlreadyRunningError(
      `already running on ${folder} (process ${holder}): stop that one first, or give --data`,
    );
  }
  writeFileSync(file, `${process.pid}\n`);
  return () => rmSync(file, { force: true });
}

function read(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

// Numbers of processes are used again, above all in containers: the name decides.
function isLauncher(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('launcher/main.ts');
  } catch {
    return false;
  }
}
