/**
 * Bulk mode: the first load of an empty database. Owns which indexes wait for its end, how counts are made good,
 * and the states between; refuses to know who asks for it. A crash at any point leaves what was done, and the next
 * `finishBulk` goes on.
 */
export { BulkError } from './error.ts';
export { type FinishOptions, finishBulk } from './finish.ts';
export { startBulk } from './start.ts';
export { countsDeferred } from './state.ts';
export { type BulkStatus, type BulkStep, bulkStatus } from './status.ts';
