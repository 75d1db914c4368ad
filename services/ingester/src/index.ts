/**
 * The ingester: what the network has and what happens on it, into the streams.
 *
 * Owns: enumeration of hosts (`repo_backfill`), subscriptions to relays
 * (`firehose_live`) and to labelers (`label_live`), their cursors, and what is
 * believed of a frame by itself. Refuses to know: PostgreSQL, the state of any
 * repo, how repos are fetched.
 *
 * A crash can repeat the batch or the page that was on its way, and the repairs
 * that a batch causes. It never loses one: a cursor is written in the same step
 * as the entries it covers, and repairs before it.
 *
 * One copy at a time reads a host for a stream, under a lease; the others wait.
 */

export { type HostKeys, hostKeys } from './keys.ts';
export { enumerationDone } from './listing/enumerate.ts';
export type { SkippedRange } from './listing/skip.ts';
export { runIngester } from './service.ts';
export type { Tuning } from './shared.ts';
