/**
 * Accounts that a whole list does not name any more. An account that is deleted while events are missed is in no
 * event and in no list: only its absence tells.
 *
 *   events missed ─► the relay is listed from its start ─► markListed, for all that it names
 *                                                    └─► at its end: absentRepos, each asked about at its PDS
 *                                                          └─► not known there: suspectDeparture (departures.ts)
 */
import { classify, type Pool } from './pool.ts';
import { revAt } from './revs.ts';

/*
 * Who has written since needs no mark. Locks are taken in the order of DIDs; a repo that is locked is being written:
 * without its mark it costs a question at most.
 */
const mark = `WITH held AS (
    SELECT did FROM headwater.repo
    WHERE did = ANY($1) AND (listed_at IS NULL OR listed_at < $2) AND coalesce(live_rev, '') < $3
    ORDER BY did FOR NO KEY UPDATE SKIP LOCKED
  )
  UPDATE headwater.repo r SET listed_at = $2 FROM held WHERE r.did = held.did`;

/**
 * Notes that a list named these repos.
 *
 * @param look when that list was begun, in ms
 * @throws TransientError when PostgreSQL can't go on
 */
export async function markListed(pool: Pool, dids: readonly string[], look: number): Promise<void> {
  try {
    await pool.query(mark, [dids, new Date(look), revAt(look)]);
  } catch (err) {
    throw classify(err);
  }
}

/* Only where there is something to remove: hosts list DIDs by the million that have no repo. */
const absent = `SELECT did, floor IS NOT NULL OR head IS NOT NULL OR live_rev IS NOT NULL AS held,
    state NOT IN ('deleted', 'fetching', 'sent') AND (listed_at IS NULL OR listed_at < $2)
    AND greatest(floor, head, live_rev) < $3 AS absent
  FROM headwater.repo WHERE did > $1 ORDER BY did LIMIT $4`;

export interface AbsentPage {
  /** Repos that we hold something of and that no list has named since. */
  absent: string[];
  /** Repos looked at that we hold something of. */
  held: number;
  /** DID to go on after; undefined at the end. */
  next: string | undefined;
}

/**
 * One page of the repos, by DID.
 *
 * @throws TransientError when PostgreSQL can't go on
 */
export async function absentRepos(
  pool: Pool,
  { look, after, limit }: { look: number; after: string; limit: number },
): Promise<AbsentPage> {
  try {
    const { rows } = await pool.query<{ did: string; held: boolean; absent: boolean | null }>(absent, [
      after,
      new Date(look),
      revAt(look),
      limit,
    ]);
    return {
      absent: rows.filter((row) => row.held && row.absent).map(({ did }) => did),
      held: rows.filter((row) => row.held).length,
      next: rows.length < limit ? undefined : rows.at(-1)!.did,
    };
  } catch (err) {
    throw classify(err);
  }
}
