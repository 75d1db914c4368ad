import { readFileSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProcessError } from './process.ts';

const WAIT_MS = 30_000;

/**
 * Before a server starts on a data folder: waits until the one that served it
 * before has ended (after a kill of its parent it may still be writing), and
 * removes a pid file that nobody stands behind.
 *
 * @param pidFile its first line is the process id
 * @param program part of the command line that tells the server from a process that got its number
 * @throws ProcessError when it still runs after 30 s
 */
export async function waitForPrevious(pidFile: string, program: string): Promise<void> {
  const end = Date.now() + WAIT_MS;
  while (isServed(pidFile, program)) {
    if (Date.now() > end)
      throw new ProcessError(`another ${program} still runs on the same data (${pidFile})`, program, '');
    await sleep(100);
  }
  rmSync(pidFile, { force: true });
}

/** Whether the process that a pid file names is alive and runs `program`. */
export function isServed(pidFile: string, program: string): boolean {
  return isRunning(pidOf(pidFile), program);
}

function pidOf(file: string): number | undefined {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10);
  } catch {
    return undefined;
  }
}

function isRunning(pid: number | undefined, program: string): boolean {
  if (pid === undefined || Number.isNaN(pid)) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(program);
  } catch {
    return false;
  }
}
