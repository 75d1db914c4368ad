import type { Sql } from './open.ts';

/** Bulk mode, at a glance. */
export interface BulkView {
  state: 'off' | 'loading' | 'finishing' | 'settling';
  since: Date | null;
  /** Steps of its end that are done, of all. */
  done: number;
  steps: number;
}

/** In which state bulk mode is. */
export async function bulkView(sql: Sql): Promise<BulkView> {
  const [row] = await sql<BulkView[]>`
    SELECT state, started_at AS since,
      (SELECT count(done_at)::int FROM headwater.bulk_step) AS done,
      (SELECT count(*)::int FROM headwater.bulk_step) AS steps
    FROM headwater.bulk`;
  return row ?? { state: 'off', since: null, done: 0, steps: 0 };
}

/** What an operator should know of it; undefined when it is off. */
export function bulkSentence({ state, since, done, steps }: BulkView): string | undefined {
  if (state === 'off') return undefined;
  const on = `Bulk mode is on since ${since?.toISOString().slice(0, 16).replace('T', ' ')}`;
  if (state === 'loading') return `${on}: counts and ${steps} steps wait for \`headwater bulk finish\`.`;
  return `${on} and being finished: ${done} of ${steps} steps are done.`;
}
