import { type CommitEvent, checkCommit, RepoError, type SignedState } from '@headwater/repo';

/** How far commits are checked beyond what reading them checks anyway (sizes, hashes, DID, rev, form). */
export type VerifyMode = 'full' | 'structure' | 'off';

/** What a `#commit` or a `#sync` states, under its signature. */
export interface Statement {
  state: SignedState;
  /** Of a `#commit`: its operations and the blocks that prove them. */
  commit?: CommitEvent;
}

/** Why a statement is not believed; the label of metrics and dead letters. */
export interface Refusal {
  reason: RefusalReason;
  /** The bytes are at fault, and are kept to be looked at. */
  error?: RepoError;
  /** Its DID does not exist: there is nothing to repair. */
  isNobody?: boolean;
}

export type RefusalReason = RepoError['reason'] | 'no-identity' | 'no-key' | 'no-directory';

/** `legacy`: its producer leaves out what a full check needs; checked as far as it goes. */
export type Verdict = { ok: 'verified' | 'legacy' | 'unchecked' } | { refused: Refusal };

/**
 * Sound as far as its structure goes; whose signature it is takes a DID
 * document to tell, which is not at hand. Holds no more than that needs: it may
 * have to wait.
 */
export interface Undecided {
  did: string;
  structure: 'verified' | 'legacy';
  signed: { unsigned: Uint8Array; sig: Uint8Array };
  /** Since when it waits, in ms. */
  since: number;
}

export type Judgement = Verdict | { undecided: Undecided };

/**
 * Checks statements. A verifier keeps no state of repos: `since` and
 * `prevData` go on to the indexer, which knows what they should be.
 */
export interface Verifier {
  /** What it makes of a batch, in order. */
  check(statements: readonly Statement[]): Promise<Judgement[]>;
  /** Waits for the document. Rejects only when the signal aborts. */
  settle(undecided: Undecided, signal: AbortSignal): Promise<Verdict>;
  /** A DID document has changed. */
  drop(did: string): Promise<void>;
}

/** Believes everything that could be read. */
export const trusting: Verifier = withoutKeys(() => ({ ok: 'unchecked' }));

/** Holds each commit's operations against its partial tree, and undoes them to `prevData`. */
export const structural: Verifier = withoutKeys((statement) => {
  const verdict = structureOf(statement);
  return 'ok' in verdict && verdict.ok === 'verified' ? { ok: 'unchecked' } : verdict;
});

/**
 * What the structure alone says of a statement. A producer is of the old kind
 * only if it knows nothing of `prevData`: one that states it, and leaves out the
 * `prev` without which nothing can be undone, is not believed.
 */
export function structureOf({
  commit,
}: Statement): { ok: 'verified' | 'legacy' } | Extract<Verdict, { refused: object }> {
  try {
    if (commit === undefined) return { ok: 'verified' };
    if (commit.prevData !== null && commit.ops.some(({ prev }) => prev === undefined)) {
      throw new RepoError('bad-commit-event', 'an update or a delete lacks its prev');
    }
    return { ok: checkCommit(commit) };
  } catch (err) {
    if (err instanceof RepoError) return { refused: { reason: err.reason, error: err } };
    throw err;
  }
}

function withoutKeys(judge: (statement: Statement) => Verdict): Verifier {
  return {
    check: async (statements) => statements.map(judge),
    settle: async () => ({ ok: 'unchecked' }),
    drop: async () => {},
  };
}
