import { markListed } from '@headwater/database/absent';
import { suspectDeparture } from '@headwater/database/departures';
import {
  type Begun,
  beginFetch,
  beginFetches,
  type FetchStart,
  type KnownRev,
  knownRevs,
  markRepoState,
  markSent,
  questionAnswered,
  repoRows,
  showAccount,
} from '@headwater/database/fetches';
import type { Pool } from '@headwater/database/pool';
import { Batcher, seam, TransientError } from '@headwater/ops';
import type { Row } from './compare.ts';

/** Repos asked about in one query. */
const ASKED_AT_ONCE = 500;
/**
 * How long repos that begin (and hold a slot), or are sent (and hold none), wait for others: each commit costs as much as
 * many. Those that are sent keep their places among the entries in hand, which are so many that a thousand repos a second
 * find one.
 */
const BEGIN_MS = 4;
const SENT_MS = 100;

/** Statuses of accounts that follow from what a PDS answers; RepoNotFound says nothing of the account. */
const statusOf: Record<string, string> = {
  RepoTakendown: 'takendown',
  RepoSuspended: 'suspended',
  RepoDeactivated: 'deactivated',
};

/**
 * What the backfiller asks of PostgreSQL. Jobs are checked before, so whatever
 * fails here is not a repo's fault: every error is a TransientError, and no
 * repo goes to the dead letters because a table is missing or a disk is full.
 */
export class RepoStore {
  readonly #pool: Pool;
  readonly #known: Batcher<string, KnownRev>;
  readonly #listed: Batcher<{ did: string; look: number }, true>;
  readonly #begun: Batcher<FetchStart, Begun>;
  readonly #sent: Batcher<{ did: string; fetch: string }, true>;

  constructor(pool: Pool) {
    this.#pool = pool;
    this.#known = new Batcher((dids) => ours(knownRevs(pool, dids)), ASKED_AT_ONCE);
    this.#listed = new Batcher((all) => ours(this.#mark(all)), ASKED_AT_ONCE);
    this.#begun = new Batcher((all) => ours(this.#begin(all)), ASKED_AT_ONCE, BEGIN_MS);
    this.#sent = new Batcher((all) => ours(this.#markSent(all)), ASKED_AT_ONCE, SENT_MS);
  }

  /** What is stored of a repo; questions of many workers go together. */
  known(did: string): Promise<KnownRev | undefined> {
    return this.#known.get(did);
  }

  /** A list that was begun at `look` names the repo. */
  async listed(did: string, look: number): Promise<void> {
    await this.#listed.get({ did, look });
  }

  async #mark(all: readonly { did: string; look: number }[]) {
    for (const [look, some] of Map.groupBy(all, (one) => one.look)) {
      await markListed(this.#pool, [...new Set(some.map(({ did }) => did))], look);
    }
    return new Map<{ did: string; look: number }, true>();
  }

  /** Its host was asked at `time` (ms), and we hold what it has. */
  async answered(did: string, time: number): Promise<void> {
    await ours(questionAnswered(this.#pool, did, time));
  }

  /** Its present host does not know it, though we hold a repo of it. `time`: when it was asked, in ms. */
  async suspectGone(did: string, time: number): Promise<void> {
    await ours(suspectDeparture(this.#pool, did, time));
  }

  /**
   * Raises the floor before the comparison; says whether there is anything to do at all, and to compare with. A repo
   * that a transaction is writing to holds up nobody else's.
   */
  async begin(start: FetchStart): Promise<Begun> {
    return (await this.#begun.get(start)) ?? (await ours(beginFetch(this.#pool, start)));
  }

  async #begin(starts: readonly FetchStart[]): Promise<Map<FetchStart, Begun>> {
    const begun = await beginFetches(this.#pool, starts, false);
    const known = starts.filter(({ did }) => begun.has(did));
    return new Map(known.map((start) => [start, begun.get(start.did)!]));
  }

  /** Rows of a repo in the order of their paths' bytes, page by page. */
  async *rows(did: string): AsyncGenerator<Row[]> {
    try {
      yield* repoRows(this.#pool, did);
    } catch (error) {
      throw asOurs(error);
    }
  }

  /**
   * All parts are in the stream. A repo whose parts are being applied already, which is a matter of course, holds up
   * nobody else's.
   */
  async sent(did: string, fetch: string): Promise<void> {
    const one = { did, fetch };
    if (!(await this.#sent.get(one))) await ours(markSent(this.#pool, [one]));
  }

  async #markSent(fetches: readonly { did: string; fetch: string }[]) {
    const marked = await markSent(this.#pool, fetches, false);
    return new Map(fetches.filter(({ did }) => marked.has(did)).map((one) => [one, true as const]));
  }

  /**
   * A terminal answer, or an identity without a repo. `time`: when it was asked
   * for, in ms, so that what the network said meanwhile is newer.
   */
  async unavailable(did: string, reason: string, time = Date.now()): Promise<void> {
    const status = Object.hasOwn(statusOf, reason) ? statusOf[reason]! : undefined;
    const account = status === undefined ? undefined : { active: false, status, time };
    const mark = { did, state: 'unavailable' as const, reason };
    await ours(markRepoState(this.#pool, { ...mark, ...(account && { account }) }));
    seam('backfiller:unavailable-noted');
  }

  /** The account's host serves it again. `time`: when it was asked, in ms. */
  async active(did: string, time: number): Promise<void> {
    await ours(showAccount(this.#pool, did, time));
  }

  /** A host lists the account as inactive. `time`: when it said so, in ms. */
  async inactive(did: string, status: string, time: number): Promise<void> {
    const account = { active: false, status, time };
    await ours(markRepoState(this.#pool, { did, state: 'unavailable', reason: status, account }));
  }

  /** Every try failed; the entry goes to the dead letters. */
  async failed(did: string, reason: string): Promise<void> {
    await ours(markRepoState(this.#pool, { did, state: 'failed', reason }));
    seam('backfiller:failed-noted');
  }
}

async function ours<T>(question: Promise<T>): Promise<T> {
  try {
    return await question;
  } catch (error) {
    throw asOurs(error);
  }
}

function asOurs(error: unknown): TransientError {
  if (error instanceof TransientError) return error;
  return new TransientError(`PostgreSQL: ${(error as Error).message}`, { cause: error });
}
