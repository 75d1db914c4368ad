import { requestHandles } from './actors.ts';
import { type Client, classify, inTransaction, type Pool, sqlState } from './pool.ts';

export interface DueHandle {
  did: string;
  /** Ask the directory, not a cache. */
  refresh: boolean;
  /** Tries without a verified handle, this one not counted. */
  tries: number;
  /** Until when it is lent. What is found counts only while this stands: an identity event in between asks for another look. */
  lease: string;
}

/** Whose answer it is. */
export type Lent = Pick<DueHandle, 'did' | 'lease'>;

const takeDue = `UPDATE headwater.handle_due SET due = now() + make_interval(secs => $2)
  WHERE did IN (
    SELECT did FROM headwater.handle_due WHERE due <= now() ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
  )
  RETURNING did, refresh, tries, due::text AS lease`;

/**
 * Accounts whose handle is to be verified now. They are lent: who is not answered for within `leaseMs` is handed out
 * again.
 *
 * @throws TransientError when PostgreSQL can't go on
 */
export async function dueHandles(pool: Pool, limit: number, leaseMs: number): Promise<DueHandle[]> {
  try {
    return (await pool.query<DueHandle>(takeDue, [limit, leaseMs / 1000])).rows;
  } catch (err) {
    throw classify(err);
  }
}

/*
 * Taken is as good as looked at: whose look fails is handed out by its row in handle_due from then on, and never
 * stands at the front of this index for ever.
 */
const takeAged = `UPDATE actor SET "indexedAt" = $1 WHERE did IN (
    SELECT did FROM actor WHERE handle IS NOT NULL AND "indexedAt" < $2
    ORDER BY "indexedAt" LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
  )
  RETURNING did`;

const lendAged = `INSERT INTO headwater.handle_due (did, due, refresh)
  SELECT did, now() + make_interval(secs => $2), true FROM unnest($1::text[]) AS did
  ON CONFLICT (did) DO NOTHING RETURNING did, refresh, tries, due::text AS lease`;

/**
 * Accounts whose handle was verified longer ago than `maxAgeMs`, the oldest first, lent as by dueHandles. Those that
 * are due anyway are left to that. A crash in between puts a look off until the handle is as old again.
 *
 * @throws TransientError when PostgreSQL can't go on
 */
export async function agedHandles(
  pool: Pool,
  { maxAgeMs, limit, leaseMs }: { maxAgeMs: number; limit: number; leaseMs: number },
): Promise<DueHandle[]> {
  const now = Date.now();
  const times = [now, now - maxAgeMs].map((ms) => new Date(ms).toISOString());
  try {
    // Two transactions: no lock on an account is held while a row of handle_due is waited for.
    const { rows } = await pool.query<{ did: string }>(takeAged, [...times, limit]);
    if (rows.length === 0) return [];
    const dids = rows.map(({ did }) => did).sort();
    return (await pool.query<DueHandle>(lendAged, [dids, leaseMs / 1000])).rows;
  } catch (err) {
    throw classify(err);
  }
}

/**
 * Notes what an account's handle is now. A handle that another account held is taken from it: it can name only one,
 * and who has lost it is looked at again, since the look at this account may be the older one. Of an account that has
 * no row (any more) nothing is noted.
 *
 * @param handle verified in both directions; null when there is none
 * @param againMs when to look again; null not before an identity event or its age asks for it
 * @returns false when the look was overtaken: another one is due, or was made since; nothing is noted then
 */
export async function writeHandle(
  pool: Pool,
  lent: Lent,
  handle: string | null,
  againMs: number | null,
): Promise<boolean> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await writeOnce(pool, lent, handle, againMs);
    } catch (err) {
      // Two accounts that swap handles, or claim one, at the same moment.
      const code = sqlState(err) ?? sqlState((err as Error).cause);
      if (attempt >= 5 || (code !== '23505' && code !== '40P01')) throw err;
    }
  }
}

/** The account and who holds its handle, in the order of DIDs: two that swap handles wait for each other, and don't circle. */
const lockActors = `SELECT did FROM actor WHERE did = $1 OR handle = $2 ORDER BY did FOR NO KEY UPDATE`;

const stillLent = 'SELECT FROM headwater.handle_due WHERE did = $1 AND due = $2::timestamptz FOR UPDATE';

function writeOnce(pool: Pool, lent: Lent, handle: string | null, againMs: number | null): Promise<boolean> {
  const { did, lease } = lent;
  const at = new Date().toISOString();
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ did: string }>(lockActors, [did, handle]);
    const held = await client.query(stillLent, [did, lease]);
    if (held.rowCount === 0) return false;
    // Deleted while its handle was looked at: its row does not come again.
    const isGone = !rows.some((row) => row.did === did);
    if (!isGone && handle !== null) await takeFromOthers(client, did, handle);
    await client.query('UPDATE actor SET handle = $2, "indexedAt" = $3 WHERE did = $1', [did, handle, at]);
    if (isGone || againMs === null) {
      await client.query('DELETE FROM headwater.handle_due WHERE did = $1', [did]);
    } else await postpone(client, lent, againMs);
    return true;
  });
}

async function takeFromOthers(client: Client, did: string, handle: string): Promise<void> {
  const { rows } = await client.query<{ did: string }>(
    'UPDATE actor SET handle = NULL WHERE handle = $1 AND did <> $2 RETURNING did',
    [handle, did],
  );
  await requestHandles(
    client,
    rows.map((row) => row.did),
    true,
  );
}

/** Nobody could say now; look again later, unless the look was overtaken. */
export async function postponeHandle(pool: Pool, lent: Lent, againMs: number): Promise<void> {
  try {
    await postpone(pool, lent, againMs);
  } catch (err) {
    throw classify(err);
  }
}

async function postpone(client: Pick<Pool, 'query'>, { did, lease }: Lent, againMs: number): Promise<void> {
  await client.query(
    `UPDATE headwater.handle_due SET due = now() + make_interval(secs => $2), tries = tries + 1
     WHERE did = $1 AND due = $3::timestamptz`,
    [did, againMs / 1000, lease],
  );
}
