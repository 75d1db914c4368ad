import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Keypair, Secp256k1Keypair } from '@atproto/crypto';
import { BlockMap, blocksToCarFile, MemoryBlockstore, MST, signCommit } from '@atproto/repo';
import { tidAt } from '@headwater/repo';

type Handler = (req: IncomingMessage, res: ServerResponse, url: URL) => void;

/** A server on loopback whose answers a test can replace. */
class FakeServer implements AsyncDisposable {
  readonly #server: Server;
  /** Paths with their queries, decoded, as they were asked for. */
  readonly requests: string[] = [];
  /** Takes the place of the usual answers while it is set. */
  instead: Handler | undefined;

  constructor(usual: Handler) {
    this.#server = createServer((req, res) => {
      const url = new URL(req.url!, 'http://localhost');
      this.requests.push(decodeURIComponent(req.url!));
      (this.instead ?? usual)(req, res, url);
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let accounts = 0;
let clock = Date.now() - 3600_000;

/** An account of the fake network: its keys, its records, its repo at a new rev after each change. */
export class FakeAccount {
  readonly did: string;
  pds: FakeServer;
  keypair: Keypair;
  /** The key in the DID document; differs from the signing one in tests of rotation and forgery. */
  documentKey: string;
  rev = '';
  car: Uint8Array = new Uint8Array();
  records = new Map<string, unknown>();

  constructor(pds: FakeServer, keypair: Keypair) {
    this.did = `did:plc:${(accounts++)
      .toString(26)
      .replace(/[0-9]/g, (d) => 'qrstuvwxyz'[+d]!)
      .padStart(24, '2')}`;
    this.pds = pds;
    this.keypair = keypair;
    this.documentKey = keypair.did();
  }

  /** Sets (or with undefined deletes) records and signs the repo at a new rev. */
  async commit(changes: Record<string, unknown>, { did = this.did } = {}): Promise<void> {
    for (const [path, value] of Object.entries(changes)) {
      if (value === undefined) this.records.delete(path);
      else this.records.set(path, value);
    }
    const blocks = new BlockMap();
    let tree = await MST.create(new MemoryBlockstore());
    for (const [path, value] of this.records) tree = await tree.add(path, await blocks.add(value as never));
    const { root, blocks: nodes } = await tree.getUnstoredBlocks();
    blocks.addMap(nodes);
    clock += 1000;
    this.rev = tidAt(clock);
    const commit = await signCommit({ did, version: 3, rev: this.rev, prev: null, data: root }, this.keypair);
    const cid = await blocks.add(commit as never);
    this.car = await blocksToCarFile(cid, blocks);
  }
}

/** A PLC directory and any number of PDS hosts that answer as a test wants. */
export class FakeNetwork implements AsyncDisposable {
  readonly plc: FakeServer;
  readonly hosts: FakeServer[] = [];
  readonly accounts = new Map<string, FakeAccount>();

  constructor() {
    this.plc = new FakeServer((_req, res, url) => this.#document(res, url.pathname.slice(1)));
  }

  static async start(): Promise<FakeNetwork> {
    const network = new FakeNetwork();
    await network.plc.start();
    return network;
  }

  async host(): Promise<FakeServer> {
    const host = await new FakeServer((_req, res, url) => this.#xrpc(host, res, url)).start();
    this.hosts.push(host);
    return host;
  }

  /** An account with `records` likes, or with those given. */
  async account(pds: FakeServer, records: number | Record<string, unknown> = 3): Promise<FakeAccount> {
    const account = new FakeAccount(pds, await Secp256k1Keypair.create());
    this.accounts.set(account.did, account);
    await account.commit(typeof records === 'number' ? likes(records) : records);
    return account;
  }

  #document(res: ServerResponse, did: string): void {
    const account = this.accounts.get(did);
    if (!account) {
      sendJson(res, 404, { message: `DID not registered: ${did}` });
      return;
    }
    const { documentKey, pds } = account;
    const publicKeyMultibase = documentKey.slice('did:key:'.length);
    sendJson(res, 200, {
      id: did,
      alsoKnownAs: [],
      verificationMethod: [{ id: `${did}#atproto`, type: 'Multikey', controller: did, publicKeyMultibase }],
      service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: pds.url }],
    });
  }

  #xrpc(host: FakeServer, res: ServerResponse, url: URL): void {
    const account = this.accounts.get(url.searchParams.get('did') ?? '');
    const method = url.pathname.slice('/xrpc/com.atproto.sync.'.length);
    if (!account || account.pds !== host) sendError(res, 400, 'RepoNotFound');
    else if (method === 'getRepo') sendCar(res, account.car);
    else if (method === 'getLatestCommit') sendJson(res, 200, { cid: 'bafyreib', rev: account.rev });
    else sendError(res, 501, 'MethodNotImplemented');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.plc, ...this.hosts]) await server[Symbol.asyncDispose]();
  }
}

export type { FakeServer };

/** So many likes in the order of their rkeys. */
export function likes(count: number, uri = 'at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/1') {
  const subject = { uri, cid: 'bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy' };
  const paths = Array.from({ length: count }, (_, i) => `app.bsky.feed.like/${tidAt(1.7e12 + i)}`);
  const record = { $type: 'app.bsky.feed.like', subject, createdAt: '2026-11-23T01:30:15.953Z' };
  return Object.fromEntries(paths.map((path) => [path, record]));
}

export function sendCar(res: ServerResponse, car: Uint8Array): void {
  res.writeHead(200, { 'content-type': 'application/vnd.ipld.car' }).end(car);
}

export function sendJson(res: ServerResponse, status: number, body: unknown, headers = {}): void {
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function sendError(res: ServerResponse, status: number, error: string, headers = {}): void {
  sendJson(res, status, { error, message: error }, headers);
}
