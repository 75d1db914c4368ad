import { numberOf, Random } from '../content/random.ts';

/**
 * What a pipeline ought to make of a fault.
 * - `retry`: try again; in the end nothing of it is to be seen
 * - `repair`: notice, fetch the repo again; the tables are right in the end
 * - `drop`: refuse that one event, record or line with a counted reason; nothing of it reaches the tables
 * - `dead-letter`: the repo's entry ends in the dead letters of `repo_backfill`
 * - `terminal`: write down that the repo is gone or withheld; no dead letter
 * - `skip`: write the skipped range of the enumeration down and find its repos elsewhere
 * - `reconnect`: open the subscription again; what was missed is found
 * - `any`: whether it is applied or refused, the tables are right in the end
 */
export type Expectation =
  | 'retry'
  | 'repair'
  | 'drop'
  | 'dead-letter'
  | 'terminal'
  | 'skip'
  | 'reconnect'
  | 'any';

/** One fault that really struck, and what is expected of it. */
export interface Injected {
  fault: string;
  expect: Expectation;
  /** Name of the server: `plc`, `pds0`, `relay0`, `labeler0`. */
  service?: string;
  did?: string;
  rev?: string;
  uri?: string;
  /** Seq at the first relay (or at the labeler). */
  seq?: number;
  note?: string;
}

/** Where a fault strikes; what is absent matches everything. */
export interface Scope {
  /** A server's name, or the start of several: `pds`, `relay`. */
  service?: string;
  did?: string;
  /** NSID, or a path of the directory. */
  method?: string;
  /** How often in all. */
  times?: number;
  /** How often for the same DID, or the same place of a list. Twice where `probability` is given, else no limit. */
  timesEach?: number;
  /** Share of the calls that are struck, one by one. */
  share?: number;
  /** Share of DIDs or places that are struck at all; which ones, the seed says. */
  probability?: number;
}

/** A possible victim. */
export interface Target {
  service: string;
  method: string;
  did?: string | undefined;
  /** What `timesEach` and `probability` go by: the DID, or the place in a list. */
  key: string;
}

/** A fault that is switched on. */
export class ActiveFault<P = object> {
  readonly fault: string;
  readonly scope: Scope;
  readonly params: P;
  hits = 0;
  stopped = false;
  readonly #seed: number;
  #calls = 0;
  readonly #each = new Map<string, number>();

  constructor(fault: string, scope: Scope, params: P, seed: number) {
    this.fault = fault;
    this.scope = scope;
    this.params = params;
    this.#seed = seed;
  }

  stop(): void {
    this.stopped = true;
  }

  /** Whether it strikes here and now; if so the hit is counted. */
  strikes(target: Target): boolean {
    if (!this.#matches(target) || !this.#isChosen(target.key)) return false;
    const {
      times = Infinity,
      probability,
      timesEach = probability === undefined ? Infinity : 2,
    } = this.scope;
    const hits = this.#each.get(target.key) ?? 0;
    if (this.hits >= times || hits >= timesEach || !this.#isDue()) return false;
    this.hits++;
    this.#each.set(target.key, hits + 1);
    return true;
  }

  #isDue(): boolean {
    const { share } = this.scope;
    return share === undefined || new Random(this.#seed, 31, this.#calls++).chance(share);
  }

  #matches({ service, method, did }: Target): boolean {
    const { scope } = this;
    if (this.stopped) return false;
    if (scope.service !== undefined && !isNamed(service, scope.service)) return false;
    if (scope.method !== undefined && scope.method !== method) return false;
    return scope.did === undefined || scope.did === did;
  }

  #isChosen(key: string): boolean {
    const { probability } = this.scope;
    if (probability === undefined) return true;
    return new Random(this.#seed, numberOf(this.fault), numberOf(key)).chance(probability);
  }
}

function isNamed(service: string, name: string): boolean {
  return service === name || (/^[a-z]+$/.test(name) && service.startsWith(name));
}

/** What was done, for tests to compare with what came of it. */
export class FaultLog {
  readonly injected: Injected[] = [];

  note(entry: Injected): void {
    this.injected.push(entry);
  }

  /** DIDs for which something is expected. */
  dids(expect: Expectation): Set<string> {
    const found = this.injected.filter((entry) => entry.expect === expect && entry.did !== undefined);
    return new Set(found.map((entry) => entry.did!));
  }
}
