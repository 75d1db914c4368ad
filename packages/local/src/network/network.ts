import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { Server } from 'node:net';
import { join } from 'node:path';
import type { TestPds, TestPlc } from '@atproto/dev-env';
import { freePort, isPortTaken } from '../ports.ts';
import { type Account, createAccount, login } from './account.ts';
import { keepOperations } from './plc-store.ts';

export interface NetworkOptions {
  /** Keeps the PLC's operations, the PDS's data, keys and ports: the next start on it goes on. */
  folder: string;
  /** Further settings of the PDS, as `@atproto/pds` reads them from its environment (camel case). */
  pds?: Record<string, unknown>;
}

const IDENTITY = 'network.json';

/** What has to stay the same from start to start: DID documents name the PDS's port and key. */
interface Identity {
  plcPort: number;
  pdsPort: number;
  rotationKey: string;
}

/** A PLC directory and a PDS (from @atproto/dev-env) on loopback. The PDS stands in for a relay as well. */
export class Network implements AsyncDisposable {
  readonly plc: TestPlc;
  readonly pds: TestPds;

  constructor(plc: TestPlc, pds: TestPds) {
    this.plc = plc;
    this.pds = pds;
  }

  get plcUrl(): string {
    return this.plc.url;
  }

  get pdsUrl(): string {
    return this.pds.url;
  }

  /** `localhost:PORT`, as a value of INGESTER_RELAY_HOSTS would have it with `http://` before it. */
  get pdsHost(): string {
    return new URL(this.pds.url).host;
  }

  /** Makes an account `NAME.test` (some 80 ms). */
  createAccount(name = `u${randomBytes(5).toString('hex')}`): Promise<Account> {
    return createAccount(this.pds.url, name);
  }

  /** Signs in to an account that `createAccount` made, also in an earlier process. */
  login(name: string): Promise<Account> {
    return login(this.pds.url, name);
  }

  /** Waits until all that was written is in the PDS's event stream; returns its newest seq (0: none). */
  async waitForSequencer(): Promise<number> {
    await this.pds.processAll();
    return (await this.pds.ctx.sequencer.curr()) ?? 0;
  }

  async stop(): Promise<void> {
    await this.pds.close();
    await this.plc.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Starts a network on the data of `folder`, or a new one there. Some 2 s, of which most are imports. */
export async function startNetwork(options: NetworkOptions): Promise<Network> {
  const parts = await devEnv();
  const temporary = join(options.folder, 'tmp');
  const isNew = !existsSync(join(options.folder, IDENTITY));
  for (let attempt = 1; ; attempt++) {
    await mkdir(temporary, { recursive: true });
    const identity = await identityIn(options.folder);
    try {
      return await withTemporaryFolder(temporary, () =>
        onLoopbackOnly(() => startParts(parts, identity, options)),
      );
    } catch (error) {
      // Nobody knows the ports of a new network yet: others will do.
      if (!isNew || attempt === 3 || !isPortTaken(error)) throw error;
      await rm(join(options.folder, IDENTITY));
    }
  }
}

async function startParts(
  { TestPlc, TestPds, mockNetworkUtilities }: typeof import('@atproto/dev-env'),
  identity: Identity,
  options: NetworkOptions,
): Promise<Network> {
  const plc = await TestPlc.create({ port: identity.plcPort });
  try {
    await keepOperations(plc, join(options.folder, 'plc.jsonl'));
    const pds = await TestPds.create({
      didPlcUrl: plc.url,
      port: identity.pdsPort,
      plcRotationKeyK256PrivateKeyHex: identity.rotationKey,
      dataDirectory: await madeFolder(join(options.folder, 'pds')),
      blobstoreDiskLocation: await madeFolder(join(options.folder, 'blobs')),
      ...options.pds,
    });
    mockNetworkUtilities(pds);
    return new Network(plc, pds);
  } catch (error) {
    await plc.close();
    throw error;
  }
}

// The package's index loads AppView, Ozone and bsync as well: twice the time.
async function devEnv(): Promise<typeof import('@atproto/dev-env')> {
  const index = import.meta.resolve('@atproto/dev-env');
  const parts = await Promise.all(
    ['plc.js', 'pds.js', 'util.js'].map((file) => import(new URL(file, index).href)),
  );
  return Object.assign({}, ...parts);
}

/** Where the network of `folder` is, or will be when it is started. */
export async function addressesOf(folder: string): Promise<{ plcUrl: string; pdsUrl: string }> {
  const { plcPort, pdsPort } = await identityIn(folder);
  return { plcUrl: `http://localhost:${plcPort}`, pdsUrl: `http://localhost:${pdsPort}` };
}

async function identityIn(folder: string): Promise<Identity> {
  const file = join(folder, IDENTITY);
  const saved = await readFile(file, 'utf8').catch(() => undefined);
  if (saved !== undefined) return JSON.parse(saved);
  const plcPort = await lastingPort();
  const identity = {
    plcPort,
    pdsPort: await lastingPort(plcPort),
    rotationKey: randomBytes(32).toString('hex'),
  };
  await mkdir(folder, { recursive: true });
  await writeFile(file, JSON.stringify(identity));
  return identity;
}

/** A free port below those that the system hands out to connections: it should be free at the next start too. */
async function lastingPort(other = 0): Promise<number> {
  for (let tries = 0; tries < 50; tries++) {
    const port = randomInt(20_000, 30_000);
    if (port !== other && (await freePort(port)) === port) return port;
  }
  return freePort();
}

async function madeFolder(path: string): Promise<string> {
  await mkdir(path, { recursive: true });
  return path;
}

/** dev-env makes folders in the system's temporary folder that nothing removes. */
async function withTemporaryFolder<T>(folder: string, run: () => Promise<T>): Promise<T> {
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  try {
    return await run();
  } finally {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    await rm(folder, { recursive: true, force: true });
  }
}

/** dev-env listens on all addresses; its passwords are public. */
async function onLoopbackOnly<T>(run: () => Promise<T>): Promise<T> {
  const { listen } = Server.prototype;
  Server.prototype.listen = function (this: Server, ...args: unknown[]) {
    const [port, ...rest] = args;
    const all = typeof port === 'number' && typeof rest[0] !== 'string';
    return Reflect.apply(listen, this, all ? [port, '127.0.0.1', ...rest] : args);
  } as typeof listen;
  try {
    return await run();
  } finally {
    Server.prototype.listen = listen;
  }
}
