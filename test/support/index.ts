export { createDatabase, startPostgres, type TestDatabase, useDatabase } from './postgres.ts';
export { startRedis, type TestRedis, useRedis } from './redis.ts';
