/**
 * Accounts that are said to be deleted (headwater.departure): asked about, then purged.
 *
 *   an account event says so ─► due ─► their PDS is asked ─┬─► confirmed: the repo is `deleted`, see purge.ts
 *                                                          ├─► refuted: shown again, and looked at
 *                                                          └─► nobody could say: later
 *
 * One that nobody has announced (`suspected`) goes the same way, without hiding anything before it is confirmed.
 * A newer account event ends a departure wherever it is.
 */
import { isGone, saveAccount } from './accounts.ts';
import type { Repo } from './decide.ts';
import { type Client, classify, inTransaction, type Pool } from './pool.ts';
import { lockRepos, saveRepos } from './repos.ts';

/** A host that does not know an account may have lost it for a moment: so much later it is asked again. */
const secondLookMs = 3_600_000;

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
    const repo = await admitted(client, (await lockRepos(client, [did])).get(did)!);
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
    if (isGone(repo)) return saveAccount(client, repo, { ...truth, time: repo.account!.time + 1 });
    const time = await unsuspected(client, did);
    if (time === undefined) return;
    if (truth.active)
      await saveRepos(client, [{ ...repo, gap: true, gapReason: repo.gapReason ?? 'account' }]);
    else await saveAccount(client, repo, { ...truth, time });
  });
}

/**
 * The account's present PDS did not know it, at `time` (ms), and nobody has said that it was deleted. Its PDS is asked
 * again later.
 */
export function suspectDeparture(pool: Pool, did: string, time: number): Promise<void> {
  return inTransaction(pool, async (client) => {
    const repo = (await lockRepos(client, [did])).get(did)!;
    const isEmpty = repo.floor === null && repo.head === null && repo.liveRev === null;
    if (isEmpty || repo.state === 'deleted' || isGone(repo)) return;
    await client.query(
      `INSERT INTO headwater.departure (did, said_at, due, suspected)
       VALUES ($1, to_timestamp($2::float8 / 1000), now() + make_interval(secs => $3), true) ON CONFLICT DO NOTHING`,
      [did, time, secondLookMs / 1000],
    );
  });
}

/** The repo with what its PDS has now confirmed, as if an account event had said so when it was suspected. */
async function admitted(client: Client, repo: Repo): Promise<Repo> {
  if (isGone(repo)) return repo;
  const time = await unsuspected(client, repo.did);
  if (time === undefined) return repo;
  await saveAccount(client, repo, { active: false, status: 'deleted', time });
  return (await lockRepos(client, [repo.did])).get(repo.did)!;
}

/** Ends a suspicion. @returns when it arose, in ms; undefined where there was none */
async function unsuspected(client: Client, did: string): Promise<number | undefined> {
  const { rows } = await client.query<{ time: string }>(
    `DELETE FROM headwater.departure WHERE did = $1 AND suspected
     RETURNING (extract(epoch FROM said_at) * 1000)::bigint::text AS time`,
    [did],
  );
  return rows[0] && Number(rows[0].time);
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
