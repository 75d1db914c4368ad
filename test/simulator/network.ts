import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { Fleet } from './servers/fleet.ts';
import type { Intercept } from './servers/http.ts';
import type { Documents } from './servers/plc.ts';
import type { Account } from './world/account.ts';
import { Emitter } from './world/emit.ts';
import { DEFAULT_RATES, Life, type LifeRates } from './world/life.ts';
import { Truth } from './world/truth.ts';
import { World, type WorldOptions } from './world/world.ts';

export interface NetworkOptions extends Partial<WorldOptions> {
  /** How often accounts come, go, move and change keys. */
  rates?: Partial<LifeRates>;
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
};

/** A network on loopback, and the say over what happens in it. */
export class Network implements AsyncDisposable {
  readonly world: World;
  readonly emitter: Emitter;
  readonly life: Life;
  readonly fleet: Fleet;
  readonly documents: Documents = new Map();

  constructor(options: NetworkOptions) {
    this.world = new World({ ...defaults, ...options });
    this.emitter = new Emitter(this.world);
    this.life = new Life(this.world, this.emitter, { ...DEFAULT_RATES, ...options.rates });
    const intercept: Intercept = () => false;
    this.fleet = new Fleet(this.world, this.documents, intercept);
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

  /** One operation of the network's life; returns how many writes and events it was. */
  step(): number {
    return this.life.step();
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

  /** What the tables have to say when everything has arrived. */
  truth(): Truth {
    return new Truth(this.world, {
      rowsOf: (account) => (account.status === 'deleted' ? 'none' : account.active ? 'all' : 'some'),
      isRefused: () => false,
    });
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
  await network.fleet.listen(network.world);
  return network;
}
