/**
 * Accounts that are said to be deleted (headwater.departure): asked about, then purged.
 *
 *   an account event says so ─► due ─► their PDS is asked ─┬─► confirmed: the repo is `deleted`, see purge.ts
 *                                                          ├─► refuted: shown again, and looked at
 *                                                          └─► nobody could say: later
 *
 * A newer account event ends a departure wherever it is.
 */
import { isGone, saveAccount } from './accounts.ts';
import { classify, inTransaction, type Pool } from './pool.ts';
import { lockRepos, saveRepos } from './repos.ts';

export interface Departure {
  did: string;
  /** Its PDS has said so too: what is left to do is to remove its rows. */
  confirmed: boolean;
  /** Tries without an answer, this one not counted. */
  tries: number;
}

const takeDue = `UPDATE headwater.departure SET due = now() + make_interval(secs => $2)
  WHERE did IN (
    SELECT did FROM headwater.departure WHERE due <= now() ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
  )
  RETURNING did, confirmed_at IS NOT NULL AS confirmed, tries`;

/**
 * Departures that something is to be done about. They are lent: one that is not answered for within `leaseMs` is
 * handed out again.
 *
 * @throws TransientError when PostgreSQL can't go on
 */
export async function dueDepartures(pool: Pool, limit: number, leaseMs: number): Promise<Departure[]> {
  try {
    return (await pool.query<Departure>(takeDue, [limit, leaseMs / 1000])).rows;
  } catch (err) {
    throw classify(err);
  }
}

/**
 * The account's PDS (or the directory) says that it is gone. From now on its repo takes no events, so that what is
 * removed stays removed; every rev that it ever had is below its floor.
 *
 * @returns false when a newer account event has made this untrue
 */
export function confirmDeparture(pool: Pool, did: string): Promise<boolean> {
  return inTransaction(pool, async (client) => {
    const repo = (await lockRepos(client, [did])).get(did)!;
    if (!isGone(repo)) return false;
    const floor =
      [repo.floor, repo.head, repo.liveRev]
        .filter((rev) => rev !== null)
        .sort()
        .at(-1) ?? null;
    const none = { fetch: null, parts: null, partsDone: [], links: [], gap: false, gapReason: null };
    await saveRepos(client, [{ ...repo, ...none, state: 'deleted', floor, fresh: false }]);
    await client.query(
      'UPDATE headwater.departure SET confirmed_at = coalesce(confirmed_at, now()), due = now(), tries = 0 WHERE did = $1',
      [did],
    );
    return true;
  });
}

/** The account's PDS says otherwise: so it is, as of the moment after the event that said it was deleted. */
export function refuteDeparture(
  pool: Pool,
  did: string,
  truth: { active: boolean; status: string | null },
): Promise<void> {
  return inTransaction(pool, async (client) => {
    const repo = (await lockRepos(client, [did])).get(did)!;
    if (isGone(repo)) await saveAccount(client, repo, { ...truth, time: repo.account!.time + 1 });
  });
}

/** Nobody could say now; ask again later. */
export async function postponeDeparture(pool: Pool, did: string, againMs: number): Promise<void> {
  try {
    await pool.query(
      'UPDATE headwater.departure SET due = now() + make_interval(secs => $2), tries = tries + 1 WHERE did = $1',
      [did, againMs / 1000],
    );
  } catch (err) {
    throw classify(err);
  }
}
