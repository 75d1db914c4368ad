import { connect } from '@headwater/streams';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { createDatabase, startRedis, useDatabase } from './index.ts';

describe('startRedis', () => {
  it('keeps data across kill and restart with AOF', async () => {
    await using server = await startRedis({ aof: true, args: ['--appendfsync', 'always'] });
    const redis = connect(server.url);
    await redis.set('a', '1');
    await server.kill();
    await server.restart();
    expect(await redis.get('a')).toBe('1');
    redis.disconnect();
  });
});

describe('useDatabase', () => {
  const database = useDatabase();
  it('is a database of this file with pg_trgm at hand', async () => {
    const client = new pg.Client({ connectionString: database.url });
    await client.connect();
    await client.query('CREATE EXTENSION IF NOT EXISTS pg_trgm');
    const { rows } = await client.query("SELECT similarity('headwater', 'headwaters') > 0.5 AS near");
    expect(rows).toEqual([{ near: true }]);
    await client.end();
  });
});

describe('createDatabase', () => {
  it('fails on drop when a connection leaked, and drops nevertheless', async () => {
    const database = await createDatabase('template0');
    const client = new pg.Client({ connectionString: database.url, application_name: 'leak' });
    client.on('error', () => {});
    await client.connect();
    await expect(database.drop(200)).rejects.toThrow(/1 connections leaked:\nleak/);
    await client.end().catch(() => {});
  });
});
