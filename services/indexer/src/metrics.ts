import { type ApplyResult, collections, type LabelResult } from '@headwater/database';
import type { Metrics } from '@headwater/ops';

const batchSizes = [1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000];
const delays = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600, 86_400];

/** What the indexer reports. No label holds a DID; collections of other lexicons are all `other`. */
export class IndexerMetrics {
  readonly #rows;
  readonly #counts;
  readonly #records;
  readonly #drops;
  readonly #refused;
  readonly #entries;
  readonly #events;
  readonly #seconds;
  readonly #chain;
  readonly #completed;
  readonly #delay;
  readonly #labels;
  readonly gaps;
  readonly handles;
  readonly agedHandles;
  readonly departures;
  readonly purged;
  readonly tombstones;
  readonly lost;
  readonly absent;

  constructor(metrics: Metrics) {
    this.#rows = metrics.counter('indexer_rows_total', 'Rows inserted, by table.', ['table']);
    this.#counts = metrics.counter('indexer_count_deltas_total', 'Changes of counts written, by count.', [
      'count',
    ]);
    this.#records = metrics.counter('indexer_records_total', 'Record versions, by what became of them.', [
      'change',
    ]);
    this.#drops = metrics.counter('indexer_drops_total', 'Events left out, by reason.', ['stream', 'reason']);
    this.#refused = metrics.counter('indexer_refused_total', 'Records not indexed, by reason.', [
      'collection',
      'reason',
    ]);
    this.#entries = metrics.counter('indexer_entries_total', 'Entries with records, by the path they took.', [
      'path',
    ]);
    this.#events = metrics.histogram('indexer_batch_events', 'Events in one transaction.', ['stream'], {
      buckets: batchSizes,
    });
    this.#seconds = metrics.histogram('indexer_batch_seconds', 'Time that one transaction took.', ['stream']);
    this.#chain = metrics.counter('indexer_commits_total', 'Live commits, by how they fit their repo.', [
      'outcome',
    ]);
    this.#completed = metrics.counter('indexer_repos_completed_total', 'Whole fetches applied in full.');
    this.#delay = metrics.histogram(
      'indexer_live_delay_seconds',
      'From the time that an event carries to the commit of its rows.',
      [],
      { buckets: delays },
    );
    this.#labels = metrics.counter('indexer_labels_total', 'Labels, by what became of them.', ['outcome']);
    this.gaps = metrics.counter('indexer_gaps_total', 'Repos sent back to be fetched, by reason.', [
      'reason',
    ]);
    this.departures = metrics.counter(
      'indexer_departures_total',
      'Accounts said to be deleted: asked about, purged.',
      ['outcome'],
    );
    this.purged = metrics.counter('indexer_purged_records_total', 'Records removed of deleted accounts.');
    this.tombstones = metrics.counter(
      'indexer_tombstones_collected_total',
      'Tombstones removed because no older event can come.',
    );
    this.lost = metrics.counter(
      'indexer_lost_fetches_total',
      'Repos fetched again because parts of them were lost or are among the dead letters.',
    );
    this.absent = metrics.counter(
      'indexer_absent_accounts_total',
      'Accounts asked about because a whole list, made after events were missed, does not name them.',
    );
    this.agedHandles = metrics.counter(
      'indexer_aged_handles_total',
      'Handles looked at again because they were verified long ago.',
    );
    this.handles = metrics.counter('indexer_handles_total', 'Handles looked at, by outcome.', ['outcome']);
  }

  wrote(stream: string, events: number, seconds: number, result: ApplyResult): void {
    this.#events.observe({ stream }, events);
    this.#seconds.observe({ stream }, seconds);
    for (const [table, n] of result.rows) this.#rows.inc({ table }, n);
    for (const [count, n] of result.counts) this.#counts.inc({ count }, n);
    this.#records.inc({ change: 'written' }, result.written);
    this.#records.inc({ change: 'removed' }, result.removed);
    this.#records.inc({ change: 'unchanged' }, result.unchanged);
    for (const [reason, n] of result.drops) this.#drops.inc({ stream, reason }, n);
    for (const { collection, reason } of result.refused) {
      this.#refused.inc({ collection: collections.has(collection) ? collection : 'other', reason });
    }
    this.#entries.inc({ path: 'direct' }, result.direct);
    this.#entries.inc({ path: 'merge' }, result.merged);
    for (const [outcome, n] of result.chain) this.#chain.inc({ outcome }, n);
    this.#completed.inc(result.completed.length);
  }

  delayed(seconds: number): void {
    this.#delay.observe(Math.max(0, seconds));
  }

  labelled(stream: string, labels: number, seconds: number, result: LabelResult): void {
    this.#events.observe({ stream }, labels);
    this.#seconds.observe({ stream }, seconds);
    this.#labels.inc({ outcome: 'applied' }, result.applied);
    this.#labels.inc({ outcome: 'unchanged' }, result.unchanged);
    for (const [reason, n] of result.refused) this.#labels.inc({ outcome: reason }, n);
  }
}
