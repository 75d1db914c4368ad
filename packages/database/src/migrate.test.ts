import pg from 'pg';
import { expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { MigrationMismatchError, migrate, pendingMigrations } from './index.ts';

const database = useDatabase('template0');

it('is applied once when it is started twice at once, and never again', async () => {
  const runs = await Promise.all([migrate(database.url), migrate(database.url), migrate(database.url)]);
  expect(runs.filter((applied) => applied.length > 0)).toHaveLength(1);
  expect(await migrate(database.url)).toEqual([]);
  await withClient(async (client) => expect(await pendingMigrations(client)).toEqual([]));
});

it('says what is missing', async () => {
  await withClient(async (client) => {
    const last = `(SELECT max(name) FROM headwater.migration)`;
    await client.query('BEGIN');
    const { rows } = await client.query(
      `DELETE FROM headwater.migration WHERE name = ${last} RETURNING name`,
    );
    expect(await pendingMigrations(client)).toEqual([rows[0].name]);
    await client.query('DROP TABLE headwater.migration');
    expect((await pendingMigrations(client)).length).toBeGreaterThan(5);
    await client.query('ROLLBACK');
  });
});

it.each([
  ['a file that has changed', `UPDATE headwater.migration SET checksum = 'other' WHERE name LIKE '0001%'`],
  ['a database of a newer version', `INSERT INTO headwater.migration VALUES ('9999_future', '', 'bsky')`],
  ['another schema', `UPDATE headwater.migration SET schema = 'other' WHERE name LIKE '0002%'`],
])('refuses %s', async (_what, change) => {
  await withClient(async (client) => {
    await client.query('BEGIN');
    await client.query(change);
    await expect(pendingMigrations(client)).rejects.toThrow(MigrationMismatchError);
    await client.query('ROLLBACK');
  });
});

async function withClient(work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
