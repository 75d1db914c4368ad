/**
 * Crash seams: names for the moments between two durable steps, so that a test
 * can end the process at each of them (test/crash). In production `seam` is an
 * empty function. It is no setting: only a module that Node loads before the
 * service (`--import`) can put another one in its place.
 */
export const SEAMS = [
  // A page of an enumeration: read, and in the stream with its cursor.
  'ingester:page-read',
  'ingester:page-written',
  // A stream is followed for the first time; events were missed and are to be found by listing.
  'ingester:stream-begun',
  'ingester:missed-noted',
  // A live batch: its repairs, then its entries with the cursor.
  'ingester:repairs-sent',
  'ingester:live-written',
  // A repo, from its job to its last part.
  'backfiller:job-taken',
  'backfiller:repo-fetched',
  'backfiller:fetch-begun',
  'backfiller:part-sent',
  'backfiller:all-sent',
  'backfiller:sent-marked',
  'backfiller:unavailable-noted',
  'backfiller:failed-noted',
  // Every transaction of every service.
  'database:before-commit',
  'database:after-commit',
  // Events are applied, what follows from them in other repos is not.
  'database:applied',
  // A batch is written and not acknowledged.
  'indexer:events-written',
  'indexer:labels-written',
  // Jobs of repos out of step are in the stream, and not marked as sent.
  'indexer:gaps-sent',
  // An account that is gone.
  'indexer:departure-settled',
  'indexer:purged',
  'indexer:handle-written',
  // The end of an entry of a stream.
  'streams:before-acknowledge',
  'streams:acknowledged',
  'streams:parked',
  'streams:try-counted',
  'streams:buried',
] as const;

/** Those of an operator's long command, which nobody starts again but the operator. */
export const COMMAND_SEAMS = [
  // `headwater bulk finish`: each step, and the states between.
  'bulk:finishing',
  'bulk:index-built',
  'bulk:counted',
  'bulk:step-done',
  'bulk:settling',
] as const;

export type Seam = (typeof SEAMS)[number] | (typeof COMMAND_SEAMS)[number];

const hook = (globalThis as { [key: symbol]: unknown })[Symbol.for('headwater.seam')];

/** Passes a seam. */
export const seam = (typeof hook === 'function' ? hook : () => {}) as (name: Seam) => void;
