import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './compose.ts';

const folder = join(root, '.headwater/tools');

/**
 * promtool: from PATH, else from Debian's package `prometheus`, unpacked into a
 * folder of ours (installing it would start a server). Kept for the next run.
 *
 * @returns the program's path, or why there is none
 */
export function findPromtool(): { path: string } | { missing: string } {
  if (works('promtool')) return { path: 'promtool' };
  const kept = join(folder, 'promtool');
  if (works(kept)) return { path: kept };
  if (!existsSync('/usr/bin/apt-get') || !existsSync('/usr/bin/dpkg-deb')) {
    return { missing: 'promtool is not on PATH, and there is no apt-get to get it with' };
  }
  mkdirSync(folder, { recursive: true });
  const work = mkdtempSync(join(folder, 'unpack-'));
  try {
    // Package lists may be missing or old on a new machine; then once more with fresh ones.
    if (!download(work)) spawnSync('apt-get', ['-qq', 'update'], { timeout: 60_000 });
    const deb = download(work);
    if (!deb) return { missing: 'apt-get could not download the package prometheus' };
    spawnSync('dpkg-deb', ['-x', deb, work]);
    renameSync(join(work, 'usr/bin/promtool'), kept);
    return works(kept) ? { path: kept } : { missing: `${kept} does not run` };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function download(work: string): string | undefined {
  spawnSync('apt-get', ['-qq', 'download', 'prometheus'], { cwd: work, timeout: 120_000 });
  const file = readdirSync(work).find((name) => name.endsWith('.deb'));
  return file && join(work, file);
}

function works(program: string): boolean {
  return spawnSync(program, ['--version'], { timeout: 20_000 }).status === 0;
}

export function promtool(path: string, ...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(path, args, { cwd: root, encoding: 'utf8', timeout: 60_000 });
  return { status, output: stdout + stderr };
}
