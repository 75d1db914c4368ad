import { Database, RepoSubscription } from '@atproto/bsky';
import { cborToLexRecord } from '@atproto/repo';
import { AtUri } from '@atproto/syntax';
import { CID } from 'multiformats/cid';
import { type Operation, uriOf } from './operation.ts';
import { recordBytes } from './records.ts';

/** An operation that the official indexer refused, and with which error. */
export interface Refusal {
  uri: string;
  action: Operation['action'];
  error: unknown;
}

/**
 * The indexer of the installed `@atproto/bsky`, over a database of its own
 * with the tables of its own migrations. It is given operations one by one;
 * nothing of it listens to a firehose. Every DID has the handle of handleOf, and none has a PDS.
 */
export class OfficialIndexer implements AsyncDisposable {
  readonly refused: Refusal[] = [];
  readonly db: Database;
  #subscription: RepoSubscription;

  private constructor(db: Database) {
    this.db = db;
    // Never started: it is only the way to its indexing service and its background queue.
    this.#subscription = new RepoSubscription({
      service: 'ws://127.0.0.1:9',
      db,
      idResolver: identities as never,
    });
  }

  /** @param url of an empty database; @param schema in which the official migrations make their tables */
  static async create(url: string, schema = 'bsky'): Promise<OfficialIndexer> {
    const db = new Database({ url, schema, poolSize: 8 });
    await db.migrateToLatestOrThrow();
    return new OfficialIndexer(db);
  }

  /** Applies operations in the order given, each wholly (its background work included) before the next. */
  async apply(operations: Iterable<Operation>): Promise<void> {
    for (const op of operations) await this.#applyOne(op);
  }

  /** Makes an account known, as the first event about it does, and notes its newest commit. */
  async know({
    did,
    commit,
    rev,
    time,
  }: {
    did: string;
    commit: string;
    rev: string;
    time: string;
  }): Promise<void> {
    const { indexingSvc } = this.#internals;
    await indexingSvc.indexHandle(did, time);
    await indexingSvc.setCommitLastSeen(did, CID.parse(commit), rev);
  }

  /** Takes what is said of an account that is not deleted; of words that it does not know it makes nothing. */
  async say({ did, active, status }: { did: string; active: boolean; status?: string }): Promise<void> {
    await this.#internals.indexingSvc.updateActorStatus(did, active, status).catch((error: Error) => {
      if (!error.message.startsWith('Unrecognized account status')) throw error;
    });
  }

  /**
   * Deletes an account and all that it wrote. By itself the official indexer leaves much of it behind
   * (docs/appview.md): so its records are deleted one by one first, and the rest is taken away.
   */
  async depart(did: string, time: string): Promise<void> {
    const { rows } = await this.#query('SELECT uri FROM bsky.record WHERE did = $1 ORDER BY uri', [did]);
    for (const { uri } of rows as { uri: string }[]) {
      const { collection, rkey } = new AtUri(uri);
      await this.#applyOne({ action: 'delete', did, collection, rkey, time });
    }
    await this.#internals.indexingSvc.deleteActor(did);
    await this.#query('DELETE FROM bsky.actor_sync WHERE did = $1', [did]);
    await this.#query(`DELETE FROM bsky.op_thread_reply WHERE uri LIKE 'at://' || $1 || '/%'`, [did]);
  }

  get #internals(): Internals {
    return this.#subscription as unknown as Internals;
  }

  #query(text: string, values: unknown[]) {
    return this.db.pool.query(text, values);
  }

  async #applyOne(op: Operation): Promise<void> {
    const { indexingSvc, background } = this.#internals;
    const uri = new AtUri(uriOf(op));
    try {
      if (op.action === 'delete') await indexingSvc.deleteRecord(uri);
      else {
        const record = cborToLexRecord(recordBytes(op.record!));
        await indexingSvc.indexRecord(uri, CID.parse(op.cid!), record, op.action, op.time);
      }
    } catch (error) {
      this.refused.push({ uri: uriOf(op), action: op.action, error });
    }
    await background.processAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscription.destroy();
    await this.db.close();
  }
}

/** The handle of every account, verified in both directions. */
export function handleOf(did: string): string {
  return `${did.split(':').at(-1)}.test`;
}

const identities = {
  did: {
    resolve: async () => null,
    resolveAtprotoData: async (did: string) => ({ did, handle: handleOf(did) }),
  },
  handle: { resolve: async (handle: string) => `did:plc:${handle.split('.')[0]}` },
};

interface Internals {
  indexingSvc: {
    indexRecord(uri: AtUri, cid: CID, record: unknown, action: string, time: string): Promise<void>;
    deleteRecord(uri: AtUri): Promise<void>;
    indexHandle(did: string, time: string): Promise<void>;
    setCommitLastSeen(did: string, commit: CID, rev: string): Promise<void>;
    updateActorStatus(did: string, active: boolean, status?: string): Promise<void>;
    deleteActor(did: string): Promise<void>;
  };
  background: { processAll(): Promise<void> };
}
