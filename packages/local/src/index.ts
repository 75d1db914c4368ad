/**
 * Servers on this machine: a private Redis, an embedded PostgreSQL, and the
 * processes of a pipeline, each with its parent's life as the upper bound of its own.
 *
 * Owns: ports, data folders, start, stop and the death of children.
 * Refuses to know: what is in the streams and tables.
 * A crash of the parent ends the children (PR_SET_PDEATHSIG, on Linux); their
 * data folders stay as a power cut would leave them, and the next start recovers.
 *
 * For development, tests and `npm start` only: nothing here runs in production.
 */
export { nodeLimits } from './node-limits.ts';
export { freePort } from './ports.ts';
export { PostgresError, type PostgresOptions, type PostgresServer, startPostgresServer } from './postgres.ts';
export { Child, type ChildOptions, ProcessError, spawnChild } from './process.ts';
export { RedisError, type RedisOptions, type RedisServer, startRedisServer } from './redis.ts';
