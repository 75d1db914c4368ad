/**
 * A repo's whole fetch, as the backfiller drives it.
 *
 *   beginFetch ─ 'go' ─► repoRows, compared with the tree ─► parts sent ─► markSent
 *              └ 'older' | 'complete' ─► nothing to do
 *
 * The floor is raised before the comparison, in a transaction of its own: from
 * then on no live event at or below it changes a row of this repo.
 */

import { addActors, writeStatuses } from './actors.ts';
import { planEntry, type Repo, type RepoStateName } from './decide.ts';
import { type Client, classify, inTransaction, type Pool } from './pool.ts';
import type { AccountState } from './prepare.ts';
import { lockRepos, saveRepos } from './repos.ts';

export interface FetchStart {
  did: string;
  /** rev of the verified repo. */
  rev: string;
  /** A new name for this fetch. */
  fetch: string;
  /** Compare and send even where this rev is complete. */
  force?: boolean;
}

/**
 * Announces a whole fetch and raises the repo's floor to its rev; durable when it returns.
 *
 * @returns 'go': compare and send; 'older': a newer fetch has begun; 'complete': this very rev is applied, or sent
 * @throws TransientError when PostgreSQL can't go on
 */
export function beginFetch(pool: Pool, start: FetchStart): Promise<'go' | 'complete' | 'older'> {
  const { did, rev, fetch, force = false } = start;
  return inTransaction(pool, async (client) => {
    const repo = (await lockRepos(client, [did])).get(did)!;
    if (repo.floor !== null && repo.floor > rev) return 'older';
    const settled = repo.state === 'complete' || repo.state === 'sent';
    if (repo.floor === rev && settled && !force) return 'complete';
    await saveRepos(client, [started(repo, rev, fetch)]);
    await client.query({ ...dropTombstones, values: [did, rev] });
    return 'go';
  });
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
  text: 'DELETE FROM headwater.tombstone WHERE did = $1 AND rev <= $2',
};

/**
 * All parts of a fetch are in the stream: a redelivered job need not send them again.
 *
 * @returns false when another fetch has begun since
 */
export async function markSent(pool: Pool, did: string, fetch: string): Promise<boolean> {
  const { rowCount } = await query(
    pool,
    `UPDATE headwater.repo SET state = CASE WHEN state = 'fetching' THEN 'sent' ELSE state END, updated_at = now()
     WHERE did = $1 AND fetch_id = $2`,
    [did, fetch],
  );
  return rowCount === 1;
}

export interface RepoRow {
  /** `collection/rkey`. */
  path: string;
  cid: string;
  rev: string;
}

const pageSize = 2_000;

/**
 * The records that we hold of a repo, sorted by path as its tree is, in constant memory: one page at a time by the
 * key. Not one snapshot: what live events change meanwhile is above the floor, and wins over what a comparison with
 * these rows makes of it.
 *
 * @throws TransientError when PostgreSQL can't go on
 */
export async function* repoRows(pool: Pool, did: string): AsyncGenerator<RepoRow> {
  const prefix = `at://${did}/`;
  // '0' is the character after '/'.
  const end = `at://${did}0`;
  let after = prefix;
  for (;;) {
    const { rows } = await query<{ uri: string; cid: string; rev: string }>(
      pool,
      'SELECT uri, cid, rev FROM record WHERE uri > $1 AND uri < $2 ORDER BY uri LIMIT $3',
      [after, end, pageSize],
    );
    for (const { uri, cid, rev } of rows) yield { path: uri.slice(prefix.length), cid, rev };
    if (rows.length < pageSize) return;
    after = rows.at(-1)!.uri;
  }
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
  /** A gap is suspected. */
  gap: boolean;
}

/** What is known of repos; those never seen are absent. */
export async function knownRevs(pool: Pool, dids: readonly string[]): Promise<Map<string, KnownRev>> {
  const { rows } = await query<KnownRev & { did: string }>(
    pool,
    `SELECT did, state, reason, floor, head, live_rev AS "liveRev", account_status AS "accountStatus",
       gap_at IS NOT NULL AS gap FROM headwater.repo WHERE did = ANY($1)`,
    [dids],
  );
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

/** Notes that a repo can't be had. Never touches its rows. */
export function markRepoState(pool: Pool, mark: RepoMark): Promise<void> {
  return inTransaction(pool, async (client) => {
    const before = (await lockRepos(client, [mark.did])).get(mark.did)!;
    await saveAccount(client, before, mark.account);
    await client.query(
      `UPDATE headwater.repo SET state = $2, reason = $3, gap_at = NULL, gap_reason = NULL, updated_at = now()
       WHERE did = $1`,
      [mark.did, mark.state, mark.reason],
    );
  });
}

async function saveAccount(client: Client, before: Repo, account: AccountState | undefined): Promise<void> {
  const { repo } = planEntry(before, {
    did: before.did,
    live: true,
    ops: [],
    account,
    refused: [],
    drops: [],
  });
  if (!repo.actor) await addActors(client, [repo], Date.now());
  else if (repo.account !== before.account) await writeStatuses(client, [repo]);
  await saveRepos(client, [{ ...repo, actor: true }]);
}

export interface Gap {
  did: string;
  reason: 'gap' | 'desync';
  head: string | null;
}

const takeGaps = `UPDATE headwater.repo SET asked_at = now()
  WHERE did IN (
    SELECT did FROM headwater.repo
    WHERE gap_at < now() - make_interval(secs => $1) AND state IN ('complete', 'new')
      AND (asked_at IS NULL OR asked_at < now() - make_interval(secs => $2))
    ORDER BY gap_at LIMIT $3 FOR UPDATE SKIP LOCKED
  )
  RETURNING did, gap_reason AS reason, head`;

/**
 * Hands out repos whose history has a hole that stayed open. They are marked as asked for only if `deliver` resolves;
 * otherwise they are handed out again.
 *
 * @param graceMs how long a missing commit may still come
 * @param againMs after which a repo that is still out of step is handed out again
 * @returns how many
 */
export function withGaps(
  pool: Pool,
  options: { graceMs: number; againMs: number; limit: number },
  deliver: (gaps: Gap[]) => Promise<void>,
): Promise<number> {
  const { graceMs, againMs, limit } = options;
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<Gap>(takeGaps, [graceMs / 1000, againMs / 1000, limit]);
    if (rows.length > 0) await deliver(rows);
    return rows.length;
  });
}

async function query<T extends object>(pool: Pool, text: string, values: unknown[]) {
  try {
    return await pool.query<T>(text, values);
  } catch (err) {
    throw classify(err);
  }
}
