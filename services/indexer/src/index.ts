/**
 * The indexer: live and backfill events and labels → PostgreSQL.
 *
 * Owns: which stream is written how, in batches of what size, and the lanes
 * beside it (gaps that ask for a fetch, handles). Refuses to know: what an
 * event makes of a row (packages/database).
 *
 * A crash repeats entries that were written and not acknowledged, which
 * changes nothing. An entry is acknowledged only after its transaction has
 * committed.
 */
export { runIndexer } from './service.ts';
