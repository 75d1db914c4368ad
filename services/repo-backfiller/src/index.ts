/**
 * repo-backfiller: repos that were listed or found out of step → their events.
 *
 * Owns: the fetch of a whole repo from its PDS (who, where, how politely), its
 * comparison with our rows, the packing of what differs into
 * `firehose_backfill`, the hosts' lanes in Redis. Refuses to know: how a row
 * is written, what a record means, where the list of repos comes from.
 *
 * A crash at any instruction repeats the work of the entries in hand, under
 * another fetch id; parts that were sent already are versions of the same
 * revs and do no harm. It loses none: an entry is acknowledged after its last
 * part is in the stream.
 */
export { runBackfiller, type Tuning } from './service.ts';
