import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { Random } from './content/random.ts';
import type { CarFaultName } from './faults/cars.ts';
import { Disturbance } from './faults/disturbance.ts';
import { Faults } from './faults/faults.ts';
import { LabelFaults } from './faults/labels.ts';
import { DEFAULT_MIX, Mix, type MixOptions } from './faults/mix.ts';
import { oddRecord, type RecordFaultName } from './faults/records.ts';
import type { Injected } from './faults/registry.ts';
import { StreamFaults } from './faults/streams.ts';
import { Fleet } from './servers/fleet.ts';
import { type Documents, phantomDocument } from './servers/plc.ts';
import type { Account } from './world/account.ts';
import { Emitter } from './world/emit.ts';
import { Labeler } from './world/labeler.ts';
import { DEFAULT_RATES, Life, type LifeRates } from './world/life.ts';
import { rowsOf } from './world/rules.ts';
import { Truth } from './world/truth.ts';
import { World, type WorldOptions } from './world/world.ts';

export interface NetworkOptions extends Partial<WorldOptions> {
  /** How often accounts come, go, move and change keys. */
  rates?: Partial<LifeRates>;
  /** Lets things go wrong by the seed: `all`, or how much of what. */
  faults?: 'all' | Partial<MixOptions>;
}

export interface RunOptions {
  /** Writes and events in all, at least. */
  operations: number;
  /** As fast as possible unless told. */
  perSecond?: number;
  signal?: AbortSignal;
}

const defaults: WorldOptions = {
  seed: 1,
  repos: 30,
  hosts: 3,
  relays: 1,
  recordsPerRepo: 30,
  inactive: 0,
  unlisted: 0,
  p256: 0.1,
  window: 100_000,
  heads: 'real',
  cachedRecords: 200_000,
  clock: 'simulated',
  labelers: 0,
  phantomHosts: 0,
  phantomsPerHost: 100,
};

/** A network on loopback, and the say over what happens in it. */
export class Network implements AsyncDisposable {
  readonly world: World;
  readonly emitter: Emitter;
  readonly life: Life;
  /** Faults of calls. */
  readonly faults: Faults;
  /** Faults of single events. */
  readonly events: Disturbance;
  /** Faults of whole streams. */
  readonly streams: StreamFaults;
  readonly fleet: Fleet;
  readonly labelers: Labeler[];
  readonly labelFaults: LabelFaults;
  readonly #documents: Documents = new Map();
  readonly #labelling: Random;
  readonly #mix: Mix | undefined;

  constructor(options: NetworkOptions) {
    this.world = new World({ ...defaults, ...options });
    this.emitter = new Emitter(this.world);
    this.life = new Life(this.world, this.emitter, { ...DEFAULT_RATES, ...options.rates });
    this.faults = new Faults(this.world);
    this.events = new Disturbance(this.world, this.emitter, this.faults.log);
    this.emitter.interference = this.events;
    this.labelers = Array.from({ length: this.world.options.labelers }, (_, i) => new Labeler(this.world, i));
    this.labelFaults = new LabelFaults(this.faults.log);
    this.#labelling = new Random(this.world.options.seed, 60);
    this.#publish();
    this.fleet = new Fleet(this.world, this.labelers, this.#documents, this.faults.intercept);
    this.streams = new StreamFaults(this.fleet, this.faults.log, this.events);
    const { faults } = options;
    this.#mix = faults && new Mix(this, { ...DEFAULT_MIX, ...(faults !== 'all' && faults) });
  }

  get plcUrl(): string {
    return this.fleet.plc.url;
  }

  /** Origin of the first relay. */
  get relayUrl(): string {
    return this.relayUrls[0]!;
  }

  get relayUrls(): string[] {
    return this.fleet.relays.map(({ server }) => server.url);
  }

  /** Origins of the PDS hosts. */
  get hosts(): string[] {
    return this.fleet.hosts.map(({ server }) => server.url);
  }

  /** Seq of the newest event of the first relay. */
  get newestSeq(): number {
    return this.world.relays[0]!.newest;
  }

  account(did: string): Account {
    const account = this.world.byDid.get(did);
    if (!account) throw new RangeError(`no account ${did}`);
    return account;
  }

  /** Origins of the labelers. */
  get labelerUrls(): string[] {
    return this.labelers.map(({ url }) => url);
  }

  /** Every fault that has struck, and what is expected of it. */
  get injected(): readonly Injected[] {
    return this.faults.log.injected;
  }

  /** Makes the CARs of all repos that nobody has changed, where `carFolder` is to keep them; returns their number. */
  async prepare(): Promise<number> {
    let count = 0;
    for (const account of this.world.accounts) {
      if (!account.active || account.changed) continue;
      const answer = await fetch(`${account.host.url}/xrpc/com.atproto.sync.getRepo?did=${account.did}`);
      for await (const _ of answer.body!);
      count++;
    }
    return count;
  }

  /** One operation of the network's life; returns how many writes and events it was. */
  step(): number {
    const done = this.life.step();
    for (const labeler of this.labelers) if (this.#labelling.chance(0.2)) labeler.step();
    this.#mix?.after(done);
    return done;
  }

  /** Makes an account write an odd record, in a commit that is otherwise right; returns its URI. */
  plant(did: string, name: RecordFaultName): string {
    const account = this.account(did);
    const { path, block, fate } = oddRecord(name, this.world.tid());
    const uri = `at://${did}/${path}`;
    const isThere = account.repo.records.has(path);
    this.world.odd.set(uri, fate);
    this.emitter.commit(account, [{ action: isThere ? 'update' : 'create', path, block }]);
    this.faults.log.note({ fault: name, expect: fate === 'refused' ? 'drop' : 'any', did, uri });
    return uri;
  }

  /** Makes an account's repo unreadable for good, before anybody has read it; it writes nothing any more. */
  poison(did: string, fault: CarFaultName): void {
    const account = this.account(did);
    account.poisoned = true;
    account.quiet = true;
    this.faults.inject({ fault, did, lasting: true, expect: 'dead-letter' });
  }

  /** Lets the network live on for a while; the sequence depends on the seed alone. */
  async run({ operations, perSecond = Infinity, signal }: RunOptions): Promise<number> {
    const start = performance.now();
    let done = 0;
    while (done < operations && !signal?.aborted) {
      const due = Math.min(operations, done + 50, perSecond * ((performance.now() - start) / 1000));
      while (done < due) done += this.step();
      if (done >= due && perSecond !== Infinity) await sleep(5);
      else await immediate();
    }
    return done;
  }

  /** Faults off; those that last stay. */
  calm(): void {
    this.faults.clear();
    this.events.clear();
  }

  /**
   * Brings the network to a state that can be compared: faults off, events that
   * are held back sent, hidden accounts active again, and a true commit from
   * every account whose last word on the streams was false or lost.
   */
  settle(): void {
    this.calm();
    this.life.reactivateAll();
    this.events.settle((account) => this.life.touch(account));
  }

  /** What the tables have to say when everything has arrived. */
  truth(): Truth {
    return new Truth(this.world, { rowsOf, labelers: this.labelers });
  }

  /** Documents of all who are no accounts; half of the phantoms have one. */
  #publish(): void {
    for (const labeler of this.labelers) this.#documents.set(labeler.did, () => labeler.document);
    for (const host of this.world.hosts) {
      host.listings.forEach((listing, i) => {
        if ('phantom' in listing && i % 2 === 0) {
          this.#documents.set(listing.phantom, () => phantomDocument(listing.phantom, host.url));
        }
      });
    }
  }

  async close(): Promise<void> {
    await this.fleet[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Starts a network: some 50 ms for 300 repos, whose content is made when it is asked for. */
export async function createNetwork(options: NetworkOptions = {}): Promise<Network> {
  const network = new Network(options);
  await network.fleet.listen(network.world, network.labelers);
  return network;
}
