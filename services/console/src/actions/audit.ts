import type { Sql } from '../open.ts';

export interface Act {
  /** Who acts: `operator (bearer)`, or the user of the command. */
  actor: string;
  action: string;
  subject: string;
  reason?: string | undefined;
}

export interface AuditRow extends Act {
  at: string;
  outcome: string | null;
}

/** Does something on the record: a row says who, what and why before it is done, and then what came of it. */
export async function audited(sql: Sql, act: Act, run: () => Promise<string>): Promise<string> {
  const { actor, action, subject, reason = null } = act;
  const [row] = await sql<{ id: string }[]>`
    INSERT INTO headwater.audit (actor, action, subject, reason)
    VALUES (${actor}, ${action}, ${subject}, ${reason}) RETURNING id`;
  const close = (outcome: string) =>
    sql`UPDATE headwater.audit SET outcome = ${outcome} WHERE id = ${row!.id}`;
  let outcome: string;
  try {
    outcome = await run();
  } catch (error) {
    await close(`failed: ${(error as Error).message}`).catch(() => undefined);
    throw error;
  }
  await close(outcome);
  return outcome;
}

/** The newest acts, newest first. */
export async function recentActs(sql: Sql, most = 20): Promise<AuditRow[]> {
  return sql<AuditRow[]>`
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at, actor, action, subject, reason, outcome FROM headwater.audit ORDER BY id DESC LIMIT ${most}`;
}
