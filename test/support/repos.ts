import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Secp256k1Keypair } from '@atproto/crypto';
import { getFullRepo, MemoryBlockstore, Repo, WriteOpAction } from '@atproto/repo';
import { encode } from '@ipld/dag-cbor';
import { CID } from 'multiformats/cid';
import { create as createDigest } from 'multiformats/hashes/digest';

/** A record of a repo to build: path and value as lexicon data. */
export interface NewRecord {
  collection: string;
  rkey: string;
  value: Record<string, unknown>;
}

/** A repo as its PDS has it. */
export interface BuiltRepo {
  did: string;
  rev: string;
  car: Uint8Array;
  records: (NewRecord & { cid: string })[];
}

/** `did:plc:` with 24 characters made from `name`: the same name gives the same DID. */
export function didOf(name: string): string {
  const bytes = createHash('sha256').update(name).digest();
  return `did:plc:${Array.from(bytes.subarray(0, 24), (byte) => 'abcdefghijklmnopqrstuvwxyz234567'[byte & 31]).join('')}`;
}

/** The CID of a record: CIDv1, dag-cbor, sha-256. */
export function cidOf(value: Record<string, unknown>): string {
  const hash = createHash('sha256').update(encode(value)).digest();
  return CID.createV1(0x71, createDigest(0x12, hash)).toString();
}

/** A whole repo, signed and built by @atproto/repo: an implementation that is not ours. */
export async function buildRepo(
  did: string,
  records: NewRecord[],
  key: Secp256k1Keypair,
): Promise<BuiltRepo> {
  const storage = new MemoryBlockstore();
  const writes = records.map(({ collection, rkey, value }) => ({
    action: WriteOpAction.Create as const,
    collection,
    rkey,
    record: value,
  }));
  const repo = await Repo.create(storage, did, key, writes as Parameters<typeof Repo.create>[3]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of getFullRepo(storage, repo.cid)) chunks.push(chunk);
  return {
    did,
    rev: repo.commit.rev,
    car: Buffer.concat(chunks),
    records: records.map((record) => ({ ...record, cid: cidOf(record.value) })),
  };
}

/** How a host answers getRepo for one repo, instead of with its whole CAR. */
export type Fault = (request: IncomingMessage, response: ServerResponse, car: Uint8Array) => void;

/** Sends the CAR up to `share` of its bytes, in an answer that ends in order. */
export function cutAt(share: number): Fault {
  return (_request, response, car) => {
    response.writeHead(200, { 'content-type': 'application/vnd.ipld.car' });
    response.end(car.subarray(0, Math.floor(car.length * share)));
  };
}

/**
 * A PLC directory and a PDS host in one server on loopback, for many repos at
 * little cost: listRepos, getRepo, getLatestCommit, getRepoStatus, DID
 * documents. All repos have one key. No event stream: see `network.ts` for a
 * real PDS.
 */
export class RepoHost implements AsyncDisposable {
  /** Requests of getRepo so far, by DID. */
  readonly fetches = new Map<string, number>();
  readonly repos = new Map<string, BuiltRepo>();
  readonly faults = new Map<string, Fault>();
  /** Pause before each answer to getRepo, in milliseconds. */
  delayMs = 0;
  private readonly key: Secp256k1Keypair;
  private readonly server: Server;

  private constructor(key: Secp256k1Keypair) {
    this.key = key;
    this.server = createServer((request, response) => void this.answer(request, response));
  }

  static async start(): Promise<RepoHost> {
    const host = new RepoHost(await Secp256k1Keypair.create());
    host.server.listen(0, '127.0.0.1');
    await once(host.server, 'listening');
    return host;
  }

  /** `127.0.0.1:PORT`: a value of INGESTER_RELAY_HOSTS. */
  get host(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Base URL, of the PLC directory as well. */
  get url(): string {
    return `http://${this.host}`;
  }

  /** Makes a repo (or replaces it by a newer one). */
  async add(did: string, records: NewRecord[]): Promise<BuiltRepo> {
    const repo = await buildRepo(did, records, this.key);
    this.repos.set(did, repo);
    return repo;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.url);
    const method = url.pathname.split('.').at(-1);
    const repo = this.repos.get(url.searchParams.get('did') ?? '');
    if (url.pathname.startsWith('/did:')) this.document(decodeURIComponent(url.pathname.slice(1)), response);
    else if (method === 'listRepos') this.list(url, response);
    else if (repo === undefined) json(response, 400, { error: 'RepoNotFound', message: 'no such repo' });
    else if (method === 'getLatestCommit') json(response, 200, { cid: cidOf({}), rev: repo.rev });
    else if (method === 'getRepoStatus') json(response, 200, { did: repo.did, active: true, rev: repo.rev });
    else if (method === 'getRepo') await this.repo(repo, request, response);
    else json(response, 404, { error: 'MethodNotImplemented' });
  }

  private async repo(
    { did, car }: BuiltRepo,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    this.fetches.set(did, (this.fetches.get(did) ?? 0) + 1);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    const fault = this.faults.get(did);
    if (fault !== undefined) fault(request, response, car);
    else response.writeHead(200, { 'content-type': 'application/vnd.ipld.car' }).end(car);
  }

  private list(url: URL, response: ServerResponse): void {
    const limit = Number(url.searchParams.get('limit') ?? 500);
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const page = [...this.repos.values()].slice(from, from + limit);
    const repos = page.map(({ did, rev }) => ({ did, rev, head: cidOf({}), active: true }));
    const more = from + limit < this.repos.size;
    json(response, 200, more ? { cursor: `${from + limit}`, repos } : { repos });
  }

  private document(did: string, response: ServerResponse): void {
    const known = this.repos.has(did);
    json(response, known ? 200 : 404, {
      id: did,
      alsoKnownAs: [`at://${did.slice(8, 16)}.test`],
      verificationMethod: [
        {
          id: `${did}#atproto`,
          type: 'Multikey',
          controller: did,
          publicKeyMultibase: this.key.did().slice(8),
        },
      ],
      service: [{ id: '#atproto_pds', type: 'AtprotoPersonalDataServer', serviceEndpoint: this.url }],
    });
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
