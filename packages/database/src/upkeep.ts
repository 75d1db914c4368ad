/**
 * What no single event brings about: tombstones that have become needless, fetches whose parts will not come any more.
 * Each call does a bounded amount of work; any number of processes may call at once.
 */
import { type Client, classify, inTransaction, type Pool } from './pool.ts';

const nextDids = 'SELECT did FROM headwater.tombstone WHERE did > $1 GROUP BY did ORDER BY did LIMIT $2';

/*
 * The floor takes over from the tombstones at or below it: it drops what is older. Only where the history is known
 * without a hole up to there, and not where a fetch is under way, whose parts belong to the floor as it is.
 */
const raiseFloors = `WITH held AS (
    SELECT did, floor FROM headwater.repo
    WHERE did = ANY($1) AND state = 'complete' AND gap_at IS NULL AND links IS NULL
    ORDER BY did FOR NO KEY UPDATE SKIP LOCKED
  ), newest AS (
    SELECT held.did, max(t.rev) AS rev
    FROM held JOIN headwater.repo r ON r.did = held.did JOIN headwater.tombstone t ON t.did = held.did
    WHERE t.rev < $2 AND t.rev <= r.head AND t.rev > coalesce(held.floor, '') GROUP BY held.did
  )
  UPDATE headwater.repo r SET floor = newest.rev FROM newest WHERE r.did = newest.did RETURNING r.did, r.floor`;

const dropBelow = `DELETE FROM headwater.tombstone t USING unnest($1::text[], $2::text[]) AS f(did, floor)
  WHERE t.did = f.did AND t.rev <= f.floor`;

export interface Collected {
  /** To go on after; undefined at the end. */
  next: string | undefined;
  tombstones: number;
}

/**
 * Removes the tombstones of some repos that no older event can need any more.
 *
 * @param options `after`: DID to go on after, '' to begin; `below`: rev below which events don't come any more
 * @throws TransientError when PostgreSQL can't go on
 */
export function collectTombstones(
  pool: Pool,
  { after, below, limit }: { after: string; below: string; limit: number },
): Promise<Collected> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ did: string }>(nextDids, [after, limit]);
    const dids = rows.map(({ did }) => did);
    const tombstones = dids.length === 0 ? 0 : await collect(client, dids, below);
    return { next: dids.length < limit ? undefined : dids.at(-1), tombstones };
  });
}

async function collect(client: Client, dids: string[], below: string): Promise<number> {
  const { rows } = await client.query<{ did: string; floor: string }>(raiseFloors, [dids, below]);
  const values = [rows.map(({ did }) => did), rows.map(({ floor }) => floor)];
  return (await client.query(dropBelow, values)).rowCount ?? 0;
}

/*
 * A second loss may be a part that can't be written: once a day is enough. What has failed is fetched again as what is
 * out of step is.
 */
const reopen = `UPDATE headwater.repo SET state = 'failed', reason = 'parts-lost', gap_at = now(), gap_reason = 'desync',
    updated_at = now()
  WHERE did IN (
    SELECT did FROM headwater.repo
    WHERE state = 'sent' AND updated_at < now() - make_interval(secs => $1)
      AND (reason IS DISTINCT FROM 'parts-lost' OR updated_at < now() - interval '1 day')
    ORDER BY did LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED
  )`;

/**
 * Has those repos fetched again that were sent longer ago than everything that is still in the stream: parts of them
 * are lost (Redis came back without its last second) or among the dead letters.
 *
 * @returns how many
 * @throws TransientError when PostgreSQL can't go on
 */
export async function reopenLost(pool: Pool, sentBeforeMs: number, limit: number): Promise<number> {
  try {
    return (await pool.query(reopen, [sentBeforeMs / 1000, limit])).rowCount ?? 0;
  } catch (err) {
    throw classify(err);
  }
}
