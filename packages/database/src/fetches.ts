/**
 * A repo's whole fetch, as the backfiller drives it.
 *
 *   beginFetches ─ 'go' ─► repoRows, compared with the tree ─► parts sent ─► markSent
 *                ├ 'fresh' ─► the whole tree sent ─► markSent
 *                └ 'older' | 'complete' ─► nothing to do
 *
 * The floor is raised before the comparison, in a transaction of its own: from
 * then on no live event at or below it changes a row of this repo.
 */

import { saveAccount } from './accounts.ts';
import { type Repo, type RepoStateName, revived } from './decide.ts';
import { type Client, classify, inTransaction, type Pool } from './pool.ts';
import { addFetching, lockRepos, saveRepos, withoutRows } from './repos.ts';

export interface FetchStart {
  did: string;
  /** rev of the verified repo. */
  rev: string;
  /** A new name for this fetch. */
  fetch: string;
  /** Compare and send even where this rev is complete. */
  force?: boolean;
  /** Nothing was known of the repo just now: it is begun in one step, unless it has become known since. */
  unknown?: boolean;
  /** When the fetch began, in ms: an account that was deleted before is back, one that was deleted since is not. */
  startedAt?: number;
}

/**
 * 'go': compare and send; 'fresh': the same, and there is not one row to compare with; 'older': a newer fetch has begun,
 * or the account was deleted since; 'complete': this very rev is applied, or sent.
 */
export type Begun = 'go' | 'fresh' | 'older' | 'complete';

/**
 * Announces whole fetches and raises each repo's floor to its rev; durable when it returns. Many at once cost little
 * more than one: each statement is for all of them.
 *
 * @param starts of as many repos
 * @param patient whether to wait for repos that a transaction is writing to; else they are left out of the answer
 * @throws TransientError when PostgreSQL can't go on: whatever has begun may begin again, under another name
 */
export async function beginFetches(
  pool: Pool,
  starts: readonly FetchStart[],
  patient = true,
): Promise<Map<string, Begun>> {
  const first = await beginFirst(
    pool,
    starts.filter(({ unknown }) => unknown),
  );
  const others = starts.filter(({ did }) => !first.has(did));
  if (others.length === 0) return first;
  return new Map([...first, ...(await beginKnown(pool, others, patient))]);
}

/** Those that nothing is known of yet: one statement, which is a transaction by itself. */
async function beginFirst(pool: Pool, starts: readonly FetchStart[]): Promise<Map<string, Begun>> {
  try {
    const added = await addFetching(pool, starts);
    return new Map([...added].map(([did, hasRows]) => [did, hasRows ? 'go' : 'fresh']));
  } catch (err) {
    throw classify(err);
  }
}

function beginKnown(
  pool: Pool,
  starts: readonly FetchStart[],
  patient: boolean,
): Promise<Map<string, Begun>> {
  return inTransaction(pool, async (client) => {
    const dids = starts.map(({ did }) => did);
    const repos = await lockRepos(client, dids, patient);
    const begun = starts.filter(({ did }) => repos.has(did)).map((start) => begin(repos, start));
    const gone = begun.filter(({ answer }) => answer === 'go').map(({ start }) => start);
    if (gone.length > 0) {
      await saveRepos(
        client,
        gone.map(({ did }) => repos.get(did)!),
      );
      const values = [gone.map(({ did }) => did), gone.map(({ rev }) => rev)];
      await client.query({ ...dropTombstones, values });
    }
    const empty = await withoutRows(client, gone);
    return new Map(
      begun.map(({ start: { did }, answer }) => [did, answer === 'go' && empty.has(did) ? 'fresh' : answer]),
    );
  });
}

/** As beginFetches, of one. */
export async function beginFetch(pool: Pool, start: FetchStart): Promise<Begun> {
  return (await beginFetches(pool, [start])).get(start.did)!;
}

/** Decides about one fetch, and puts the repo's new state into `repos`. */
function begin(repos: Map<string, Repo>, start: FetchStart): { start: FetchStart; answer: Begun } {
  const { did, rev, fetch, force = false, startedAt = 0 } = start;
  const known = repos.get(did)!;
  if (known.floor !== null && known.floor > rev) return { start, answer: 'older' };
  if (known.state === 'deleted' && (known.account?.time ?? 0) >= startedAt) return { start, answer: 'older' };
  const repo = revived(known);
  const settled = repo.state === 'complete' || repo.state === 'sent';
  if (repo.floor === rev && settled && !force) return { start, answer: 'complete' };
  repos.set(did, started(repo, rev, fetch));
  return { start, answer: 'go' };
}

function started(repo: Repo, rev: string, fetch: string): Repo {
  return {
    ...repo,
    state: 'fetching',
    floor: rev,
    fetch,
    parts: null,
    partsDone: [],
    // Parts of an abandoned fetch may have left rows.
    fresh: repo.fresh && repo.partsDone.length === 0,
    fetchCommit: null,
    fetchData: null,
    gap: false,
    gapReason: null,
  };
}

/** Below the floor no live event takes effect, so nothing needs to be remembered against it. */
const dropTombstones = {
  name: 'tombstones below floor',
  text: `DELETE FROM headwater.tombstone t USING unnest($1::text[], $2::text[]) AS u(did, rev)
    WHERE t.did = u.did AND t.rev <= u.rev`,
};

/** Locked in the order of DIDs first, as everybody does who wants several repos. */
const mark = (
  wait: '' | 'SKIP LOCKED',
) => `WITH held AS (SELECT did FROM headwater.repo WHERE did = ANY($1) ORDER BY did FOR NO KEY UPDATE ${wait})
    UPDATE headwater.repo r SET state = CASE WHEN r.state = 'fetching' THEN 'sent' ELSE r.state END, updated_at = now()
    FROM held JOIN unnest($1::text[], $2::text[]) AS u(did, id) ON u.did = held.did
    WHERE r.did = held.did AND r.fetch_id = u.id RETURNING r.did`;
const markLocked = { name: 'repos sent', text: mark('') };
const markFree = { name: 'repos sent, not waiting', text: mark('SKIP LOCKED') };

/**
 * All parts of these fetches are in the stream: a redelivered job need not send them again.
 *
 * @param patient whether to wait for repos that a transaction is writing to, or to leave them out
 * @returns the DIDs; without those of which another fetch has begun since
 * @throws TransientError when PostgreSQL can't go on
 */
export async function markSent(
  pool: Pool,
  fetches: readonly { did: string; fetch: string }[],
  patient = true,
): Promise<Set<string>> {
  const values = [fetches.map(({ did }) => did), fetches.map(({ fetch }) => fetch)];
  const { rows } = await query<{ did: string }>(pool, patient ? markLocked : markFree, values);
  return new Set(rows.map(({ did }) => did));
}

export interface RepoRow {
  /** `collection/rkey`. */
  path: string;
  cid: string;
  rev: string;
}

const pageSize = 2_000;

// One text for the whole page: rows of pg cost several times what comparing them does.
const pageOfRows = {
  name: 'rows of a repo',
  text: `SELECT string_agg(substr(uri, $4) || ' ' || cid || ' ' || rev, chr(10) ORDER BY uri) AS lines FROM (
    SELECT uri, cid, rev FROM record WHERE uri > $1 AND uri < $2 ORDER BY uri LIMIT $3) page`,
};

/**
 * The records that we hold of a repo, sorted by path as its tree is, in constant memory: one page at a time by the
 * key. Not one snapshot: what live events change meanwhile is above the floor, and wins over what a comparison with
 * these rows makes of it.
 *
 * @throws TransientError when PostgreSQL can't go on
 */
export async function* repoRows(pool: Pool, did: string): AsyncGenerator<RepoRow[]> {
  const prefix = `at://${did}/`;
  // '0' is the character after '/'.
  const end = `at://${did}0`;
  let after = prefix;
  for (;;) {
    const values = [after, end, pageSize, prefix.length + 1];
    const { rows } = await query<{ lines: string | null }>(pool, pageOfRows, values);
    const { lines } = rows[0]!;
    if (lines === null) return;
    const found = lines.split('\n').map(readRow);
    yield found;
    if (found.length < pageSize) return;
    after = prefix + found.at(-1)!.path;
  }
}

function readRow(line: string): RepoRow {
  const [path, cid, rev] = line.split(' ') as [string, string, string];
  return { path, cid, rev };
}

export interface KnownRev {
  state: RepoStateName;
  reason: string | null;
  floor: string | null;
  /** rev up to which nothing is missing; compare a listed rev with this. */
  head: string | null;
  liveRev: string | null;
  /** null for an active account, or one of which nothing was heard. */
  accountStatus: string | null;
  /** Something is missing or contradicts. */
  gap: boolean;
  /** Nothing is known to be wrong, and its host is to be asked. */
  question: boolean;
}

const knownRepos = {
  name: 'known repos',
  text: `SELECT did, state, reason, floor, head, live_rev AS "liveRev", account_status AS "accountStatus",
    gap_at IS NOT NULL AND gap_reason <> 'account' AS gap,
    gap_at IS NOT NULL AND gap_reason = 'account' AS question FROM headwater.repo WHERE did = ANY($1)`,
};

/** What is known of repos; those never seen are absent. */
export async function knownRevs(pool: Pool, dids: readonly string[]): Promise<Map<string, KnownRev>> {
  const { rows } = await query<KnownRev & { did: string }>(pool, knownRepos, [dids]);
  return new Map(rows.map(({ did, ...known }) => [did, known]));
}

export interface RepoMark {
  did: string;
  /** `unavailable`: the host says so for good; `failed`: we gave up for now. */
  state: 'unavailable' | 'failed';
  reason: string;
  /** The account's status that follows from it, and when it was learnt. */
  account?: { active: boolean; status: string | null; time: number };
}

/**
 * Notes that a repo can't be had. Never touches its rows. Of a DID of which nothing was ever seen nothing is kept but a
 * status: hosts list DIDs by the million that have no repo.
 */
export function markRepoState(pool: Pool, mark: RepoMark): Promise<void> {
  return inTransaction(pool, async (client) => {
    if (mark.state === 'unavailable' && !mark.account && !(await isKnown(client, mark.did))) return;
    const before = (await lockRepos(client, [mark.did])).get(mark.did)!;
    // The account has come back since its host said so: what then began goes on.
    if (mark.account && before.account?.active && before.account.time > mark.account.time) return;
    if (mark.account) await saveAccount(client, before, mark.account);
    await client.query(
      `UPDATE headwater.repo SET state = CASE WHEN state = 'deleted' THEN state ELSE $2 END, reason = $3,
         gap_at = NULL, gap_reason = NULL, updated_at = now() WHERE did = $1`,
      [mark.did, mark.state, mark.reason],
    );
  });
}

/** Takes the word of an account's host, asked at `time` (ms), that the account is active. */
export function showAccount(pool: Pool, did: string, time: number): Promise<void> {
  return inTransaction(pool, async (client) => {
    const before = (await lockRepos(client, [did])).get(did)!;
    await saveAccount(client, before, { active: true, status: null, time });
  });
}

/** The host was asked at `time` (ms), and nothing was missed: whatever made us ask before that is answered. */
export async function questionAnswered(pool: Pool, did: string, time: number): Promise<void> {
  await query(
    pool,
    `UPDATE headwater.repo SET gap_at = NULL, gap_reason = NULL, asked_at = NULL
     WHERE did = $1 AND gap_reason = 'account' AND gap_at < $2`,
    [did, new Date(time)],
  );
}

async function isKnown(client: Client, did: string): Promise<boolean> {
  const { rowCount } = await client.query('SELECT 1 FROM headwater.repo WHERE did = $1', [did]);
  return rowCount === 1;
}

async function query<T extends object>(
  pool: Pool,
  statement: string | { name: string; text: string },
  values: unknown[],
) {
  const config = typeof statement === 'string' ? { text: statement } : statement;
  try {
    return await pool.query<T>({ ...config, values });
  } catch (err) {
    throw classify(err);
  }
}
