import type { Pool } from '../pool.ts';
import type { BulkState } from './state.ts';

export interface BulkStep {
  name: string;
  kind: 'index' | 'counts';
  /** The table of the index or of the counts. */
  of: string;
  doneAt: Date | null;
  /** Of an index that is being built: which phase, and how much of it. */
  progress: string | null;
}

export interface BulkStatus {
  state: BulkState;
  startedAt: Date | null;
  finishingAt: Date | null;
  finishedAt: Date | null;
  /** Of the present load, or of the last one. */
  steps: BulkStep[];
}

const steps = `SELECT s.name, s.kind, s.of, s.done_at AS "doneAt",
    p.phase || CASE WHEN p.blocks_total > 0 THEN ', ' || 100 * p.blocks_done / p.blocks_total || ' %' ELSE '' END
      AS progress
  FROM headwater.bulk_step s
  LEFT JOIN pg_stat_progress_create_index p ON s.kind = 'index' AND p.datname = current_database()
    AND p.index_relid = to_regclass(quote_ident(s.name))
  ORDER BY s.kind DESC, s.name`;

/** In which state bulk mode is, and what there is still to do at its end. */
export async function bulkStatus(pool: Pick<Pool, 'query'>): Promise<BulkStatus> {
  const { rows } = await pool.query<Omit<BulkStatus, 'steps'>>(
    `SELECT state, started_at AS "startedAt", finishing_at AS "finishingAt", finished_at AS "finishedAt"
     FROM headwater.bulk`,
  );
  const state = rows[0] ?? { state: 'off' as const, startedAt: null, finishingAt: null, finishedAt: null };
  return { ...state, steps: (await pool.query<BulkStep>(steps)).rows };
}
