/** How far a numbered list may be skipped over at one place; beyond that something else is wrong. */
const mostNumbers = 65_536;
/** Accounts made in this last stretch are never skipped: newer ones must come after the cursor. */
const keepLastMs = 60_000;

/**
 * A cursor a little further on, for a host that keeps failing at this one;
 * undefined where that is not possible. What can be skipped depends on what
 * the cursor says:
 * - a number (relays count repos), or none at all at the start: that number
 *   and `steps` more, up to 65,536
 * - `MILLISECONDS::DID` (PDS hosts order accounts by their creation): as many
 *   milliseconds later, up to a minute ago
 * - anything else is opaque: nothing can be skipped
 */
export function skipAhead(cursor: string | undefined, steps: number, now = Date.now()): string | undefined {
  if (cursor === undefined || /^\d{1,18}$/.test(cursor)) {
    return steps <= mostNumbers ? String(BigInt(cursor ?? 0) + BigInt(steps)) : undefined;
  }
  const match = /^(\d{1,15})::/.exec(cursor);
  if (!match) return undefined;
  const to = Number(match[1]) + steps;
  // `did` sorts before every DID, so no account of that millisecond is left out.
  return to <= now - keepLastMs ? `${to}::did` : undefined;
}

/** A part of an enumeration that a host kept failing on, as kept in `repo_backfill:skipped:HOST`. */
export interface SkippedRange {
  /** The last good cursor; absent at the very start. */
  from?: string | undefined;
  /** The cursor from which it worked again; absent where nothing could be skipped and the rest is missing. */
  to?: string | undefined;
  /** Kind of the error. */
  kind: string;
  message: string;
  time: string;
}
