/**
 * The chain of a repo's commits: up to which rev the history is known without a
 * gap. Pure functions; the state is stored in headwater.repo.
 *
 *   commit whose since and prevData are the head's ──► head = rev, then every link that now fits
 *   commit since > head, or head not known ──► kept as a link
 *   fetch of rev R complete ────────► head = max(head, R), then every link that now fits
 *   contradiction (since, prevData) ─► kept as a link that only a fetch at or above it resolves
 *   #sync of another tree ───────────► kept until the head has that tree, or a fetch is at or above it
 */

/** A run of live commits from above `since` up to `rev`. */
export interface Link {
  /** undefined: the producer did not say; null: the repo's first commit. */
  since?: string | null | undefined;
  rev: string;
  prevData?: string | null | undefined;
  data?: string | null | undefined;
  /** Made of several commits: the head may be one of those in it. */
  joined?: boolean | undefined;
  /** States the tree at this rev, not how it came about. */
  sync?: boolean | undefined;
  /** Contradicts what we hold: no predecessor will ever make it fit. */
  broken?: boolean | undefined;
}

export interface Chain {
  head: string | null;
  headData: string | null;
  links: readonly Link[];
}

export type ChainOutcome = 'extended' | 'replay' | 'pending' | 'broken';

/** Links kept for one repo; of more only the newest, so that the gap stays visible. */
export const maxLinks = 64;

/** Takes a live commit up into the chain. */
export function addCommit(chain: Chain, commit: Link): { chain: Chain; outcome: ChainOutcome } {
  const { head } = chain;
  if (head !== null && commit.rev <= head) return { chain, outcome: 'replay' };
  if (chain.links.some((run) => isWithin(commit, run))) return { chain, outcome: 'replay' };
  if (isFirst(chain, commit)) {
    return {
      chain: absorb({ ...chain, head: commit.rev, headData: commit.data ?? null }),
      outcome: 'extended',
    };
  }
  if (head === null) return { chain: withLink(chain, commit), outcome: 'pending' };
  const fit = fitOf(chain, commit);
  if (fit === 'fits') {
    return {
      chain: absorb({ ...chain, head: commit.rev, headData: commit.data ?? null }),
      outcome: 'extended',
    };
  }
  const broken = fit === 'contradicts';
  return {
    chain: withLink(chain, broken ? { ...commit, broken: true } : commit),
    outcome: broken ? 'broken' : 'pending',
  };
}

/** A `#sync`: the repo stands at this rev with this tree; how it got there is not said. */
export function addSync(
  chain: Chain,
  sync: { rev: string; data?: string | null | undefined },
): { chain: Chain; outcome: ChainOutcome } {
  const { head, headData } = chain;
  const same = sync.data != null && sync.data === headData;
  if (head !== null && sync.rev < head) return { chain, outcome: 'replay' };
  if (head === sync.rev) {
    const contradiction = sync.data != null && headData !== null && !same;
    return { chain, outcome: contradiction ? 'broken' : 'replay' };
  }
  if (head !== null && same) return { chain: absorb({ ...chain, head: sync.rev }), outcome: 'extended' };
  // The commits that led there may still be on their way.
  return { chain: withLink(chain, { ...sync, sync: true }), outcome: 'pending' };
}

/** A whole fetch of `rev` is applied: everything up to it is known. */
export function addFetch(chain: Chain, rev: string, data: string | null): Chain {
  if (chain.head !== null && chain.head > rev) return absorb(chain);
  return absorb({ ...chain, head: rev, headData: data ?? (chain.head === rev ? chain.headData : null) });
}

/** A commit that a run of links has already taken in. */
function isWithin(commit: Link, run: Link): boolean {
  if (run.broken || run.sync) return false;
  if (run.since == null || commit.since == null) return commit.rev === run.rev;
  return run.since <= commit.since && commit.rev <= run.rev;
}

function isFirst(chain: Chain, commit: Link): boolean {
  return chain.head === null && commit.since === null && commit.prevData == null;
}

/**
 * Whether a link goes on where the head is (Sync v1.1: `since` and `prevData` are the rev and the tree that we hold).
 * Where the trees agree the revs need not: a `#sync` may lie between. A commit that goes on from below the head
 * comes from a history that is not ours, as of a host that was set back.
 */
function fitOf({ head, headData }: Chain, link: Link): 'fits' | 'waits' | 'contradicts' {
  if (link.broken) return 'waits';
  if (link.sync) return link.data != null && link.data === headData ? 'fits' : 'waits';
  if (link.since === undefined) return 'fits';
  const comparable = link.prevData != null && headData !== null;
  if (comparable && link.prevData === headData) return 'fits';
  if (link.since === null) return 'contradicts';
  if (link.since > head!) return 'waits';
  if (link.since === head) return comparable ? 'contradicts' : 'fits';
  return link.joined ? 'fits' : 'contradicts';
}

/** Moves the head over every link that fits, and forgets those at or below it. */
function absorb(chain: Chain): Chain {
  let { head, headData } = chain;
  const left: Link[] = [];
  for (const link of chain.links) {
    if (link.rev <= head!) continue;
    const fit = fitOf({ head, headData, links: [] }, link);
    if (fit === 'fits') {
      head = link.rev;
      headData = link.data ?? null;
    } else left.push(fit === 'contradicts' ? { ...link, broken: true } : link);
  }
  return { head, headData, links: left.filter((link) => link.rev > head!) };
}

/** Adds a link, neighbours joined into one run; sorted by rev. */
function withLink(chain: Chain, link: Link): Chain {
  const sorted = [...chain.links.filter((l) => l.rev !== link.rev), link].sort((a, b) =>
    a.rev < b.rev ? -1 : 1,
  );
  const joined: Link[] = [];
  for (const next of sorted) {
    const last = joined.at(-1);
    const neighbours = last && !last.broken && !last.sync && !next.broken && next.since === last.rev;
    const agree = neighbours && (next.prevData == null || last.data == null || next.prevData === last.data);
    if (agree) joined[joined.length - 1] = { ...last, rev: next.rev, data: next.data, joined: true };
    else joined.push(neighbours ? { ...next, broken: true } : next);
  }
  return { ...chain, links: joined.slice(-maxLinks) };
}
