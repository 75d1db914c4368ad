import { databasePool, type Pool } from '@headwater/database';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { RepoStore } from './store.ts';

const database = useDatabase();
let pool: Pool;
beforeAll(() => {
  pool = databasePool({ url: database.url, max: 6, applicationName: 'store' });
});
afterAll(() => pool.end());

const rev = '3l4qpz7ajrc2a';
const [busy, other] = ['did:plc:busy', 'did:plc:other'];

async function states(): Promise<string[]> {
  const { rows } = await pool.query('SELECT state FROM headwater.repo ORDER BY did');
  return rows.map(({ state }) => state);
}

it('a repo that a transaction is writing to holds up the steps of no other', async () => {
  const store = new RepoStore(pool);
  const begin = (did: string, fetch: string) => store.begin({ did, rev, fetch });
  await Promise.all([begin(busy, 'a'), begin(other, 'a')]);
  const writer = await pool.connect();
  await writer.query(`BEGIN; SELECT FROM headwater.repo WHERE did = '${busy}' FOR UPDATE`);
  const begun = begin(busy, 'b');
  expect(await begin(other, 'b')).toBe('fresh');
  await writer.query('COMMIT');
  expect(await begun).toBe('fresh');
  await writer.query(`BEGIN; SELECT FROM headwater.repo WHERE did = '${busy}' FOR UPDATE`);
  const sent = store.sent(busy, 'b');
  await store.sent(other, 'b');
  expect(await states()).toEqual(['fetching', 'sent']);
  await writer.query('COMMIT');
  writer.release();
  await sent;
  expect(await states()).toEqual(['sent', 'sent']);
});
