import { expect, it } from 'vitest';
import { useDatabase } from '../../../test/support/index.ts';
import { databasePool } from './index.ts';

const database = useDatabase();

it('a connection that breaks before anybody listens ends no process', async () => {
  const pool = databasePool({ url: database.url, max: 1, applicationName: 'test' });
  const client = await pool.connect();
  try {
    expect(() => client.emit('error', new Error('terminating connection'))).not.toThrow();
  } finally {
    client.release(true);
    await pool.end();
  }
});
