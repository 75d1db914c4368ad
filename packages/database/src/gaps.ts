/** Repos that may be out of step, handed out to be looked at. */
import type { GapReason } from './decide.ts';
import { inTransaction, type Pool } from './pool.ts';

export interface Gap {
  did: string;
  reason: GapReason;
  /** rev up to which nothing is missing. */
  head: string | null;
  /** The newest rev that is known to lie above the head: whoever has it has closed the gap. */
  above: string | null;
}

/*
 * A repo under way to us is left alone until it has arrived. A question stays until it is answered (a fetch, the word
 * of its host, a commit that shows that nothing was missed), so the stream that takes it may lose it.
 */
const takeGaps = `WITH due AS (
    SELECT did, gap_reason AS reason, head, links FROM headwater.repo
    WHERE gap_at < now() - make_interval(secs => $1) AND state NOT IN ('fetching', 'sent', 'deleted')
      AND (asked_at IS NULL OR asked_at < now() - make_interval(secs => $2))
    ORDER BY gap_at LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
  )
  UPDATE headwater.repo r SET asked_at = now() FROM due WHERE r.did = due.did
  RETURNING r.did, due.reason, due.head, due.links #>> '{-1,rev}' AS above`;

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
