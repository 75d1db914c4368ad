/** Where a bench runs, and what it costs there: the machine, its load, CPU time of processes. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface Machine {
  cores: number;
  model: string;
  memoryGb: number;
}

export function machine(): Machine {
  return {
    cores: availableParallelism(),
    model: cpus()[0]!.model.trim(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
  };
}

/** Mean number of runnable tasks over the last minute: above the number of cores, others take their share. */
export function load(): number {
  return Math.round(loadavg()[0]! * 10) / 10;
}

/** Clock ticks a second: USER_HZ is 100 on every architecture that Linux runs Node on. */
const TICKS = 100;

/** Seconds of CPU that a process has used, with its children: those at work and those that have ended. */
export function cpuSecondsOfTree(pid: number): number {
  const children = childrenOf();
  const sum = (of: number): number =>
    ticksOf(of) + (children.get(of) ?? []).reduce((total, child) => total + sum(child), 0);
  return sum(pid) / TICKS;
}

function childrenOf(): Map<number, number[]> {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const known = pids.map(Number).filter((pid) => statOf(pid) !== undefined);
  return Map.groupBy(known, (pid) => Number(statOf(pid)?.[1]));
}

/** utime, stime, cutime and cstime. */
function ticksOf(pid: number): number {
  return (statOf(pid)?.slice(11, 15) ?? []).reduce((sum, ticks) => sum + Number(ticks), 0);
}

/** Fields of /proc/PID/stat from the state on; the name before it may contain anything. */
function statOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}

/** Largest resident set that a process has had, in MB. */
export function peakMb(pid: number): number {
  const [, kb] = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? [];
  return Math.round(Number(kb) / 1024);
}

/** Versions of packages, as the folder of `from` resolves them. */
export function versionsOf(packages: readonly string[]): Record<string, string> {
  return Object.fromEntries(packages.map((name) => [name, versionOf(name)]));
}

/** A package's exports seldom include its package.json. */
function versionOf(name: string): string {
  const folder = fileURLToPath(new URL(`../node_modules/${name}/package.json`, import.meta.url));
  return JSON.parse(readFileSync(folder, 'utf8')).version;
}

/** Version that a program says it has, as `7.0.15`. */
export function programVersion(program: string): string {
  const said = execFileSync(program, ['--version'], { encoding: 'utf8' });
  return /\d+\.\d+(\.\d+)?/.exec(said)?.[0] ?? said.trim();
}
