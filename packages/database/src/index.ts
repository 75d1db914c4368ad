/**
 * The database: its schema, and everything that decides what an event makes
 * of a row.
 *
 * Owns: migrations, row builders, the writer with its version rules, a repo's
 * state, labels, handles. Refuses to know: Redis, HTTP, how events got here.
 *
 * A crash repeats at most one transaction, and repeating it changes nothing;
 * what `applyEvents` has returned from is durable.
 *
 * How it hangs together: `prepare` checks an entry and makes its rows (no
 * database); `decide` and `chain` say what it does to what is there (pure);
 * `write` deletes and COPYs; `derived` follows with what depends on several
 * records. Where to put what is still to come:
 *  - a collection's own rows: src/collections (one builder each), tables.ts;
 *  - what follows from several records: src/derived (see derivation.ts).
 */
export { type AbsentPage, absentRepos, markListed } from './absent.ts';
export { type ApplyOptions, applyEvents } from './apply.ts';
export * from './bulk/index.ts';
export { collections } from './collections/index.ts';
export {
  confirmDeparture,
  type Departure,
  dueDepartures,
  postponeDeparture,
  refuteDeparture,
  suspectDeparture,
} from './departures.ts';
export {
  type Begun,
  beginFetch,
  beginFetches,
  type FetchStart,
  type KnownRev,
  knownRevs,
  markRepoState,
  markSent,
  questionAnswered,
  type RepoMark,
  type RepoRow,
  repoRows,
  showAccount,
} from './fetches.ts';
export { type Gap, withGaps } from './gaps.ts';
export {
  agedHandles,
  type DueHandle,
  dueHandles,
  type Lent,
  postponeHandle,
  writeHandle,
} from './handles.ts';
export { applyLabels, type LabelResult } from './labels.ts';
export { type MigrateOptions, MigrationMismatchError, migrate, pendingMigrations } from './migrate.ts';
export { classify, databasePool, inTransaction, isTransient, type Pool, type PoolOptions } from './pool.ts';
export type { Refused } from './prepare.ts';
export { type PurgeOptions, purgeRepo } from './purge.ts';
export {
  type CountTable,
  compareCounts,
  countKeys,
  repairCounts,
  type WrongCount,
} from './recount.ts';
export type { ApplyResult } from './result.ts';
export { revAt } from './revs.ts';
export { type Collected, collectTombstones, reopenLost } from './upkeep.ts';
