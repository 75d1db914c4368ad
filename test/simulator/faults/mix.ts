import { Random } from '../content/random.ts';
import type { Network } from '../network.ts';
import { CAR_FAULTS, type CarFaultName } from './cars.ts';
import { COMMIT_FAULTS, type CommitFaultName } from './commits.ts';
import { EVENT_FAULTS, type EventFaultName } from './disturbance.ts';
import { FRAME_FAULTS, type FrameFaultName } from './frames.ts';
import type { HttpFaultName } from './http.ts';
import { LABEL_FAULTS, type LabelFaultName } from './labels.ts';
import { RECORD_FAULTS, type RecordFaultName } from './records.ts';

/** How much goes wrong in a network whose faults come by the seed. */
export interface MixOptions {
  /** Share of repos, pages and documents that are struck by each fault of calls. */
  calls: number;
  /** Share of commits and other events that are struck by each fault of events. */
  events: number;
  /** Accounts whose repo can never be read: one for each kind of hostile CAR, at most so many. */
  poisoned: number;
  /** Operations between two faults of a whole stream. */
  streamEvery: number;
  /** Operations between two odd records, frames and labels. */
  oddEvery: number;
  /** Names that are left out. */
  without: readonly string[];
}

export const DEFAULT_MIX: MixOptions = {
  calls: 0.01,
  events: 0.001,
  poisoned: 10,
  streamEvery: 2500,
  oddEvery: 200,
  without: [],
};

/** Faults of calls that pass, and that cost nobody minutes; those that lead out of loopback are not among them. */
const CALLS: readonly HttpFaultName[] = [
  'rate-limit',
  'server-error',
  'cut-connection',
  'html-page',
  'endless-body',
  'cut-body',
  'reset-body',
  'empty-body',
  'gzip-bomb',
  'list-empty-page',
  'list-inactive-page',
  'list-garbage',
];
const CARS: readonly CarFaultName[] = [
  'car-bad-signature',
  'car-bit-flip',
  'car-missing-record',
  'car-missing-node',
];
const STREAMS = ['drop', 'renumber', 'tooSlow', 'cut', 'reset', 'outdate', 'zombie', 'refuse'] as const;

/** Lets everything go wrong, as the seed has it. */
export class Mix {
  readonly #network: Network;
  readonly #options: MixOptions;
  readonly #random: Random;
  #untilStream: number;
  #untilOdd: number;
  #odd = 0;

  constructor(network: Network, options: MixOptions) {
    this.#network = network;
    this.#options = options;
    this.#random = new Random(network.world.options.seed, 50);
    this.#untilStream = options.streamEvery;
    this.#untilOdd = options.oddEvery;
    this.#poison();
    this.#switchOn();
  }

  /** To be called after operations. */
  after(operations: number): void {
    this.#untilStream -= operations;
    this.#untilOdd -= operations;
    if (this.#untilOdd <= 0) this.#sendOdd();
    if (this.#untilStream <= 0) this.#disturbStream();
  }

  #allowed<T extends string>(names: readonly T[]): T[] {
    return names.filter((name) => !this.#options.without.includes(name));
  }

  #poison(): void {
    const { accounts } = this.#network.world;
    const names = this.#allowed(Object.keys(CAR_FAULTS) as CarFaultName[]);
    for (let i = 0; i < Math.min(this.#options.poisoned, names.length); i++) {
      // Not the first accounts: others talk about them the most.
      const account = accounts[Math.floor(accounts.length / 2) + i];
      if (account?.active)
        this.#network.poison(account.did, names[(i + this.#random.below(3)) % names.length]!);
    }
  }

  #switchOn(): void {
    const { calls, events } = this.#options;
    for (const fault of this.#allowed([...CALLS, ...CARS])) {
      const headers = this.#random.pick(['retry-after', 'reset', 'none', 'html'] as const);
      this.#network.faults.inject({ fault, probability: calls, headers });
    }
    const names = [...Object.keys(COMMIT_FAULTS), ...Object.keys(EVENT_FAULTS)];
    for (const name of this.#allowed(names)) {
      this.#network.events.rate(name as CommitFaultName | EventFaultName, events);
    }
  }

  #sendOdd(): void {
    this.#untilOdd += this.#options.oddEvery;
    const n = this.#odd++;
    const { world, labelers, streams, labelFaults } = this.#network;
    const records = this.#allowed(Object.keys(RECORD_FAULTS) as RecordFaultName[]);
    const account = world.accounts[this.#random.below(world.accounts.length)]!;
    if (account.active && !account.quiet) this.#network.plant(account.did, records[n % records.length]!);
    if (n % 2 === 0) {
      const frames = this.#allowed(Object.keys(FRAME_FAULTS) as FrameFaultName[]);
      streams.poison(frames[(n / 2) % frames.length]!);
    }
    const labels = this.#allowed(Object.keys(LABEL_FAULTS) as LabelFaultName[]);
    for (const labeler of labelers) labelFaults.inject(labels[n % labels.length]!, labeler);
  }

  #disturbStream(): void {
    this.#untilStream += this.#options.streamEvery;
    const { streams, newestSeq } = this.#network;
    const count = 1 + this.#random.below(20);
    const kind = this.#random.pick(this.#allowed(STREAMS));
    if (kind === 'drop') streams.drop({ count });
    else if (kind === 'renumber') streams.drop({ count, renumber: true });
    else if (kind === 'reset') streams.reset({ next: this.#random.pick([1, newestSeq + 1_000_000]) });
    else if (kind === 'outdate') streams.outdate({ keep: count });
    else if (kind !== undefined) streams[kind]();
  }
}
