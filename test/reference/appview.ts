import {
  BskyAppView,
  Database,
  DataPlaneServer,
  RepoSubscription,
  ServerConfig,
  type ServerConfigValues,
} from '@atproto/bsky';
import { Secp256k1Keypair } from '@atproto/crypto';
import { freePort } from '@headwater/local';
import type { Account } from '@headwater/local/network';

/** Who answers; what a service token's audience has to be. Never resolved. */
const SERVER_DID = 'did:web:appview.test';

export interface AppViewOptions {
  /** A database with the AppView's tables, filled by whomever. */
  databaseUrl: string;
  plcUrl: string;
  /** Schema of those tables; `bsky` unless told. */
  schema?: string;
  /** URL of a PDS: then it makes its own tables and fills them with its own indexer; handles are as that PDS says. */
  index?: string;
  /** Labelers whose labels are shown to everybody. */
  labelers?: string[];
}

interface Parts {
  db: Database;
  dataPlane: DataPlaneServer;
  api: BskyAppView;
  indexer?: RepoSubscription;
}

/**
 * The AppView of the installed `@atproto/bsky`: its API and its data plane, on
 * free ports of loopback, over a given database.
 */
export class AppView implements AsyncDisposable {
  readonly url: string;
  readonly #parts: Parts;

  private constructor(url: string, parts: Parts) {
    this.url = url;
    this.#parts = parts;
  }

  static async start(options: AppViewOptions): Promise<AppView> {
    const db = new Database({ url: options.databaseUrl, schema: options.schema ?? 'bsky', poolSize: 10 });
    if (options.index) await db.migrateToLatestOrThrow();
    const dataPlanePort = await freePort();
    // Given a fetch of its own it would refuse a PLC directory on loopback.
    const dataPlane = await DataPlaneServer.create(db, dataPlanePort, options.plcUrl, globalThis.fetch);
    const port = await freePort();
    const config = new ServerConfig(configOf(options, port, dataPlanePort));
    const api = BskyAppView.create({ config, signingKey: await Secp256k1Keypair.create() });
    await api.start();
    const { idResolver } = dataPlane;
    const indexer = options.index ? await startIndexer(options.index, db, idResolver) : undefined;
    return new AppView(`http://127.0.0.1:${port}`, { db, dataPlane, api, indexer });
  }

  /**
   * The answer of one view as JSON. @param as who asks: signs with the
   * account's key on its PDS. An error answer is returned as `{ status, error, message }`.
   */
  async ask(nsid: string, params: Params = {}, as?: Account): Promise<unknown> {
    const url = new URL(`/xrpc/${nsid}`, this.url);
    for (const [name, value] of Object.entries(params)) {
      for (const item of [value].flat()) if (item !== undefined) url.searchParams.append(name, String(item));
    }
    const headers = as && { authorization: `Bearer ${await serviceToken(as, nsid)}` };
    const response = await fetch(url, { headers });
    const body = (await response.json()) as Record<string, unknown>;
    return response.ok ? body : { status: response.status, ...body };
  }

  /** Waits until its own indexer has done everything up to `seq` of the stream. */
  async processAll(seq: number): Promise<void> {
    const { indexer } = this.#parts;
    while ((indexer?.getCursor() ?? Number.POSITIVE_INFINITY) < seq) {
      await indexer!.processAll();
      // The next event comes by the socket: let the event loop turn.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await indexer?.processAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { db, dataPlane, api, indexer } = this.#parts;
    await indexer?.destroy();
    await api.destroy();
    await dataPlane.destroy();
    await db.close();
  }
}

async function startIndexer(pds: string, db: Database, idResolver: DataPlaneServer['idResolver']) {
  // There is no DNS for `.test`.
  idResolver.handle.resolve = async (handle) => {
    const answer = await fetch(`${pds}/xrpc/com.atproto.identity.resolveHandle?handle=${handle}`);
    return answer.ok ? ((await answer.json()) as { did: string }).did : undefined;
  };
  const indexer = new RepoSubscription({ service: pds.replace('http', 'ws'), db, idResolver });
  await indexer.start();
  // It takes repos side by side, and then its tables depend on which is faster: one event after the other.
  (indexer as unknown as Runner).current.runner.mainQueue.concurrency = 1;
  return indexer;
}

interface Runner {
  current: { runner: { mainQueue: { concurrency: number } } };
}

type Param = string | number | boolean | undefined;
export type Params = Record<string, Param | Param[]>;

async function serviceToken(account: Account, lxm: string): Promise<string> {
  const { data } = await account.agent.com.atproto.server.getServiceAuth({ aud: SERVER_DID, lxm });
  return data.token;
}

function configOf(options: AppViewOptions, port: number, dataPlanePort: number): ServerConfigValues {
  return {
    version: 'test',
    port,
    publicUrl: 'https://appview.test',
    serverDid: SERVER_DID,
    alternateAudienceDids: [],
    didPlcUrl: options.plcUrl,
    dataplaneUrls: [`http://127.0.0.1:${dataPlanePort}`],
    dataplaneHttpVersion: '1.1',
    // Mutes and the like would go there; nothing listens.
    bsyncUrl: 'http://127.0.0.1:9',
    bsyncHttpVersion: '1.1',
    bsyncApiKey: 'none',
    modServiceDid: 'did:example:nobody',
    labelsFromIssuerDids: (options.labelers ?? []) as `did:${string}:${string}`[],
    adminPasswords: ['admin'],
    etcdHosts: [],
    bigThreadUris: new Set<string>(),
    maxThreadParents: 50,
    disableSsrfProtection: true,
    searchTagsHide: new Set<string>(),
    searchTagsHideAll: new Set<string>(),
    threadTagsBumpDown: new Set<string>(),
    threadTagsHide: new Set<string>(),
    visibilityTagHide: '',
    visibilityTagRankPrefix: '',
    debugFieldAllowedDids: new Set<string>(),
    draftsLimit: 500,
    feedGenSkeletonTimeout: 5_000,
  };
}
