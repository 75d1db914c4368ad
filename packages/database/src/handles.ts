import { classify, inTransaction, type Pool, sqlState } from './pool.ts';

export interface DueHandle {
  did: string;
  /** Ask the directory, not a cache. */
  refresh: boolean;
  /** Tries without a verified handle, this one not counted. */
  tries: number;
}

const takeDue = `UPDATE headwater.handle_due SET due = now() + make_interval(secs => $2)
  WHERE did IN (
    SELECT did FROM headwater.handle_due WHERE due <= now() ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED
  )
  RETURNING did, refresh, tries`;

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

/**
 * Notes what an account's handle is now. A handle that another account held is taken from it: it can name only one.
 *
 * @param handle verified in both directions; null when there is none
 * @param againMs when to look again; null not before an identity event asks for it
 */
export async function writeHandle(
  pool: Pool,
  did: string,
  handle: string | null,
  againMs: number | null,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await writeOnce(pool, did, handle, againMs);
    } catch (err) {
      // Two accounts that swap handles, or claim one, at the same moment.
      const code = sqlState(err) ?? sqlState((err as Error).cause);
      if (attempt >= 5 || (code !== '23505' && code !== '40P01')) throw err;
    }
  }
}

function writeOnce(pool: Pool, did: string, handle: string | null, againMs: number | null): Promise<void> {
  const at = new Date().toISOString();
  return inTransaction(pool, async (client) => {
    if (handle !== null) {
      await client.query('UPDATE actor SET handle = NULL WHERE handle = $1 AND did <> $2', [handle, did]);
    }
    await client.query(
      `INSERT INTO actor (did, handle, "indexedAt") VALUES ($1, $2, $3)
       ON CONFLICT (did) DO UPDATE SET handle = excluded.handle, "indexedAt" = excluded."indexedAt"`,
      [did, handle, at],
    );
    if (againMs === null) await client.query('DELETE FROM headwater.handle_due WHERE did = $1', [did]);
    else await postpone(client, did, againMs);
  });
}

/** Nobody could say now; look again later. */
export async function postponeHandle(pool: Pool, did: string, againMs: number): Promise<void> {
  try {
    await postpone(pool, did, againMs);
  } catch (err) {
    throw classify(err);
  }
}

async function postpone(client: Pick<Pool, 'query'>, did: string, againMs: number): Promise<void> {
  await client.query(
    `UPDATE headwater.handle_due SET due = now() + make_interval(secs => $2), tries = tries + 1 WHERE did = $1`,
    [did, againMs / 1000],
  );
}
