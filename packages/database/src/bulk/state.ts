/** In which state bulk mode is, as writers need to know it: see migrations/0016_bulk_mode.sql. */
import type { Client } from '../pool.ts';

export type BulkState = 'off' | 'loading' | 'finishing' | 'settling';

const hold = { name: 'bulk state', text: 'SELECT state FROM headwater.bulk FOR SHARE' };

/** The state, which then stays as it is until the transaction ends. */
export async function holdBulkState(client: Client): Promise<BulkState> {
  const { rows } = await client.query<{ state: BulkState }>(hold);
  return rows[0]?.state ?? 'off';
}

/** Whether counts are not what the rows say, and are not to be read: they are counted at the end. */
export async function countsDeferred(client: Client): Promise<boolean> {
  const state = await holdBulkState(client);
  return state === 'loading' || state === 'finishing';
}
