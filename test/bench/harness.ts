/**
 * Ours and its references, measured in turns in one run.
 *
 * Neighbours on a machine come and go: what is measured in turns meets the
 * same ones, and a ratio of medians says more than any figure alone.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { load, machine } from './machine.ts';

/** One turn of one contestant. */
export interface Measure {
  /** What the figures compare, in seconds: time passed or CPU time, the same for all contestants. */
  seconds: number;
  /** How many records, commits, entries that was. */
  items: number;
  /** Further costs, in seconds, as `{ 'node cpu': 1.2 }`. */
  costs?: Record<string, number>;
}

export interface Contestant {
  name: string;
  run(): Measure | Promise<Measure>;
  /** Turns at most: for what is slow. */
  rounds?: number;
}

export interface Standing {
  /** Items a second: median, slowest and fastest turn. */
  rate: number;
  slowest: number;
  fastest: number;
  turns: number;
  /** Microseconds an item, by cost: medians. */
  costs: Record<string, number>;
}

export type Standings = Record<string, Standing>;

export interface Plan {
  contestants: readonly Contestant[];
  rounds: number;
  /** Rounds that don't count: for the compiler and the caches. */
  warmUp?: number;
}

/** Measures everybody in turns. */
export async function inTurns({ contestants, rounds, warmUp = 0 }: Plan): Promise<Standings> {
  // Else each collection between turns makes the code of those that wait older, until it is thrown away.
  setFlagsFromString('--no-flush-bytecode');
  const turns = new Map<string, Measure[]>(contestants.map(({ name }) => [name, []]));
  for (let round = -warmUp; round < rounds; round++) {
    for (const { name, run, rounds: most = rounds } of contestants) {
      if (round >= most) continue;
      collectGarbage();
      const measure = await run();
      if (round >= 0) turns.get(name)!.push(measure);
    }
  }
  return Object.fromEntries([...turns].map(([name, list]) => [name, standingOf(list)]));
}

function standingOf(turns: readonly Measure[]): Standing {
  const rates = turns.map(({ items, seconds }) => items / seconds);
  const names = new Set(turns.flatMap(({ costs = {} }) => Object.keys(costs)));
  const costOf = (name: string) =>
    round(median(turns.map(({ costs, items }) => ((costs?.[name] ?? 0) / items) * 1e6)));
  return {
    rate: round(median(rates)),
    slowest: round(Math.min(...rates)),
    fastest: round(Math.max(...rates)),
    turns: turns.length,
    costs: Object.fromEntries([...names].map((name) => [name, costOf(name)])),
  };
}

/** So long a turn lasts at least, for all alike: the collection before it makes the first moments dear. */
const TURN_SECONDS = 0.8;

/** CPU time of this process while `run` runs, again and again, as what is compared. */
export async function byCpu(items: number, run: () => unknown): Promise<Measure> {
  const start = process.cpuUsage();
  let times = 0;
  do {
    await run();
    times++;
  } while (cpuSince(start) < TURN_SECONDS);
  return { seconds: cpuSince(start), items: items * times };
}

export function cpuSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}

export function median(list: readonly number[]): number {
  const sorted = list.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Three digits are more than any of this is good for. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}

let gc: (() => void) | undefined;
function collectGarbage(): void {
  if (gc === undefined) {
    setFlagsFromString('--expose-gc');
    gc = runInNewContext('gc') as () => void;
  }
  gc();
}

/** What a bench says, and its one line for programs. */
export class Report {
  readonly bench: string;
  readonly #quiet: boolean;
  readonly #versions: Record<string, string>;
  readonly #loadBefore = load();
  readonly #standings: Standings = {};

  /** @param options.quiet nothing but the RESULT line */
  constructor(bench: string, versions: Record<string, string>, options: { quiet: boolean }) {
    this.bench = bench;
    this.#quiet = options.quiet;
    this.#versions = { node: process.version, ...versions };
    const { cores, model, memoryGb } = machine();
    this.say(`${bench}: ${cores} cores, ${model}, ${memoryGb} GB; load ${this.#loadBefore}`);
    this.say(
      `  ${Object.entries(this.#versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', ')}`,
    );
  }

  say(line: string): void {
    if (!this.#quiet) console.log(line);
  }

  /** @param unit of what a second has so many, as `records` */
  standings(standings: Standings, unit: string): void {
    Object.assign(this.#standings, standings);
    const width = Math.max(...Object.keys(standings).map((name) => name.length));
    for (const [name, { rate, slowest, fastest, turns, costs }] of Object.entries(standings)) {
      const parts = Object.entries(costs).map(([cost, micros]) => `${cost} ${micros} µs`);
      const spread = `${thousands(slowest)}–${thousands(fastest)}, ${turns} turns`;
      const each = parts.length > 0 ? `; each: ${parts.join(', ')}` : '';
      this.say(`  ${name.padEnd(width)}  ${thousands(rate)} ${unit}/s (${spread})${each}`);
    }
  }

  /** The last line. */
  result(figures: Record<string, number>): void {
    for (const [name, value] of Object.entries(figures)) this.say(`  ${name}: ${value}`);
    this.say(`  load ${this.#loadBefore} before, ${load()} after`);
    const result = {
      bench: this.bench,
      figures,
      standings: this.#standings,
      machine: { ...machine(), loadBefore: this.#loadBefore, loadAfter: load() },
      versions: this.#versions,
    };
    console.log(`RESULT ${JSON.stringify(result)}`);
  }
}

function thousands(rate: number): string {
  return rate >= 10_000 ? `${(rate / 1000).toPrecision(3)} k` : `${rate}`;
}
