import { type CommitEvent, checkCommit, RepoError } from '@headwater/repo';

/** How far commits are checked beyond what reading them checks anyway (sizes, hashes, DID, rev, form). */
export type VerifyMode = 'full' | 'structure' | 'off';

/**
 * Checks the commits of a batch; a slot holds why its commit is refused. A
 * verifier keeps no state of repos: `since` and `prevData` go on to the
 * indexer, which knows what they should be.
 */
export interface Verifier {
  check(commits: readonly CommitEvent[]): Promise<(RepoError | undefined)[]>;
}

/** Believes everything that could be read. */
export const trusting: Verifier = {
  check: async (commits) => commits.map(() => undefined),
};

/** Holds each commit's operations against its partial tree, and undoes them to `prevData`. */
export const structural: Verifier = {
  check: async (commits) => commits.map(refusalOf),
};

function refusalOf(commit: CommitEvent): RepoError | undefined {
  try {
    checkCommit(commit);
    return undefined;
  } catch (err) {
    if (err instanceof RepoError) return err;
    throw err;
  }
}

/** The verifier of a mode. Signatures are not verified yet: `full` is `structure` until they are. */
export function verifierOf(mode: VerifyMode): Verifier {
  return mode === 'off' ? trusting : structural;
}
