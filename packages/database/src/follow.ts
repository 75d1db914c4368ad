/** What follows from operations in other repos, once they and those are committed (see src/derived). */
import { sleep, TransientError } from '@headwater/ops';
import type { DerivationOptions } from './derived/derivation.ts';
import { followUp, hasFollowUp } from './derived/index.ts';
import { type Targets, targetsOf } from './derived/targets.ts';
import { inTransaction, type Pool, sqlState } from './pool.ts';
import type { Op } from './prepare.ts';

/** Any number of the same statement may meet another transaction's lock in a circle; PostgreSQL ends one of them. */
export const deadlockTries = 3;
/** Every look that finds nothing left to change is the last; so many others only meet when something is wrong. */
const maxLooks = 20;

/**
 * Looks at old records that wait for nobody. Batches of whole fetches are large and long: who waited for the rows that
 * one of them is writing, with rows of his own in hand, would keep others waiting, and often in a circle.
 */
const impatientLooks = 5;
const pauseMs = 20;

/** Those after that do wait, one at a time. Looks at live records, which are small, wait from the second on. */
const takeTurn = { name: 'look in turn', text: 'SELECT pg_advisory_xact_lock(0x6c6f, 0)' };

/**
 * Looks at all that committed operations may have consequences for, until a look changes nothing. What a look changed
 * it may have judged by what another transaction was just about to change; whoever commits last looks last, so the
 * last look of all sees everything. Idempotent: after a crash the same operations lead to the same looks.
 *
 * @param changed posts that the operations' own transaction judged
 * @throws TransientError when PostgreSQL can't go on, or others never stop changing the same posts
 */
export async function follow(
  pool: Pool,
  ops: readonly Op[],
  options: DerivationOptions,
  changed: readonly string[] = [],
): Promise<void> {
  const targets = targetsOf(ops, options);
  if (!hasFollowUp(targets)) return;
  const old = !ops.some((op) => op.live);
  let again = changed;
  for (let look = 1; look <= maxLooks; look++) {
    const patient = look > (old ? impatientLooks : 1);
    if (look > 2 && !patient) await sleep(pauseMs * 2 ** (look - 3));
    again = await lookOnce(pool, targets, { again, first: look === 1, patient, inTurn: old && patient });
    if (again.length === 0) return;
  }
  throw new TransientError(`${again.length} posts were judged ${maxLooks} times and still change`);
}

async function lookOnce(
  pool: Pool,
  targets: Targets,
  { inTurn, ...what }: { again: readonly string[]; first: boolean; patient: boolean; inTurn: boolean },
): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await inTransaction(pool, async (client) => {
        if (inTurn) await client.query(takeTurn);
        return followUp(client, targets, what);
      });
    } catch (err) {
      if (sqlState((err as Error).cause) !== '40P01' || attempt === deadlockTries) throw err;
    }
  }
}
