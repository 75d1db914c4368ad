/**
 * Removes everything that a deleted account owns, piece by piece. Each piece is a transaction under the repo's lock
 * that goes the way of every other deletion (write.ts), so counts, duplicates and derived rows follow.
 */
import { revAt } from './derived/moment.ts';
import { follow } from './follow.ts';
import { type Client, inTransaction, type Pool } from './pool.ts';
import type { Op } from './prepare.ts';
import { lockRepos, saveRepos } from './repos.ts';
import { writeOps } from './write.ts';

export interface PurgeOptions {
  /** Records removed in one transaction. */
  pieceSize?: number;
  /** When the records are deleted; now unless told. */
  now?: number;
  signal?: AbortSignal;
}

/**
 * Removes what is left of an account whose departure is confirmed. Interrupted anywhere it goes on where it was; it
 * stops by itself when the account is back.
 *
 * @returns how many records it removed, and whether nothing is left
 * @throws TransientError when PostgreSQL can't go on; the signal's reason between two pieces
 */
export async function purgeRepo(
  pool: Pool,
  did: string,
  { pieceSize = 1_000, now, signal }: PurgeOptions = {},
): Promise<{ removed: number; done: boolean }> {
  let removed = 0;
  for (;;) {
    signal?.throwIfAborted();
    const piece = await inTransaction(pool, (client) =>
      removePiece(client, did, { pieceSize, now: now ?? Date.now() }),
    );
    if (piece === 'back') return { removed, done: false };
    if (piece.ops.length === 0) return { removed, done: true };
    removed += piece.ops.length;
    // Others may have replied to these posts or quoted them at the same time.
    await follow(pool, piece.ops, options, piece.judged);
  }
}

const options = { backfillNotifications: false };

interface Piece {
  /** What was removed; none: the rest is gone too. */
  ops: Op[];
  judged: string[];
}

async function removePiece(
  client: Client,
  did: string,
  { pieceSize, now }: { pieceSize: number; now: number },
): Promise<Piece | 'back'> {
  const repo = (await lockRepos(client, [did])).get(did)!;
  if (repo.state !== 'deleted') return 'back';
  const ops = await recordsOf(client, did, pieceSize, revAt(now));
  if (ops.length === 0) {
    await removeRest(client, did);
    await saveRepos(client, [{ ...repo, actor: false }]);
    return { ops, judged: [] };
  }
  const { counts, judged } = await writeOps(client, { direct: [], merge: ops }, options);
  await client.query('UPDATE headwater.departure SET records = records + $2 WHERE did = $1', [
    did,
    ops.length,
  ]);
  await counts.write(client);
  return { ops, judged };
}

/** The next records, as deletions of now that nothing stands against: what others make of them later is not touched. */
async function recordsOf(client: Client, did: string, limit: number, now: string): Promise<Op[]> {
  const prefix = `at://${did}/`;
  // '0' is the character after '/'.
  const { rows } = await client.query<{ uri: string; rev: string }>(
    'SELECT uri, rev FROM record WHERE uri > $1 AND uri < $2 ORDER BY uri LIMIT $3',
    [prefix, `at://${did}0`, limit],
  );
  const gone = { live: false, update: false, version: null };
  return rows.map(({ uri, rev }) => {
    const nsid = uri.slice(prefix.length, uri.indexOf('/', prefix.length));
    return { ...gone, uri, nsid, did, rev: rev < now ? now : rev };
  });
}

/** What belongs to the account besides its records. */
async function removeRest(client: Client, did: string): Promise<void> {
  for (const text of perAccount) await client.query(text, [did]);
  for (const text of perUri) await client.query(text, [`at://${did}/`, `at://${did}0`]);
  await client.query('UPDATE headwater.departure SET purged_at = now(), due = NULL WHERE did = $1', [did]);
}

const perAccount = [
  'DELETE FROM actor WHERE did = $1',
  'DELETE FROM actor_sync WHERE did = $1',
  'DELETE FROM notification WHERE did = $1',
  // That it verified somebody outlives the record otherwise.
  'DELETE FROM notification WHERE author = $1',
  'DELETE FROM headwater.handle_due WHERE did = $1',
  'DELETE FROM headwater.tombstone WHERE did = $1',
  `DELETE FROM headwater.past_pair WHERE kind IN ('follow', 'reference_list_opt_out') AND a = $1`,
];

const perUri = [
  'DELETE FROM headwater.refused_record WHERE uri > $1 AND uri < $2',
  'DELETE FROM headwater.gate WHERE uri > $1 AND uri < $2',
  'DELETE FROM headwater.quoted_versions WHERE uri > $1 AND uri < $2',
  `DELETE FROM op_thread_reply o USING headwater.post_version v
    WHERE v.uri > $1 AND v.uri < $2 AND o."rootUri" = v.root AND o.uri = v.uri`,
  'DELETE FROM headwater.post_version WHERE uri > $1 AND uri < $2',
  `DELETE FROM headwater.past_pair WHERE kind = 'list_item' AND a > $1 AND a < $2`,
];
