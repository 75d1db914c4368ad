export { createDatabase, startPostgres, type TestDatabase, useDatabase } from './postgres.ts';
export { startRedis, type TestRedis } from './redis.ts';
