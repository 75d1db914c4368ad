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
 * nothing of it listens to a firehose, and no identity is ever resolved.
 */
export class OfficialIndexer implements AsyncDisposable {
  readonly refused: Refusal[] = [];
  readonly db: Database;
  #subscription: RepoSubscription;

  private constructor(db: Database) {
    this.db = db;
    // Never started: it is only the way to its indexing service and its background queue.
    this.#subscription = new RepoSubscription({ service: 'ws://127.0.0.1:9', db, idResolver: null as never });
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

  async #applyOne(op: Operation): Promise<void> {
    const { indexingSvc, background } = this.#subscription as unknown as Internals;
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

interface Internals {
  indexingSvc: {
    indexRecord(uri: AtUri, cid: CID, record: unknown, action: string, time: string): Promise<void>;
    deleteRecord(uri: AtUri): Promise<void>;
  };
  background: { processAll(): Promise<void> };
}
