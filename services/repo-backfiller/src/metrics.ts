import type { Metrics } from '@headwater/ops';

/** What the backfiller counts besides its streams and lanes. */
export class BackfillerMetrics {
  readonly repos;
  readonly failures;
  readonly bytes;
  readonly seconds;
  readonly parts;
  readonly events;
  readonly unusable;
  readonly inFlight;

  constructor(metrics: Metrics) {
    this.repos = metrics.counter(
      'backfiller_repos_total',
      'Repos looked at, by outcome. Those that failed are counted by headwater_backfiller_failures_total.',
      ['outcome'],
    );
    this.failures = metrics.counter(
      'backfiller_failures_total',
      'Failed tries at a repo, by reason; the repo is tried again or goes to the dead letters.',
      ['reason'],
    );
    this.bytes = metrics.counter('backfiller_fetched_bytes_total', 'Bytes of CARs read and verified.');
    this.seconds = metrics.histogram(
      'backfiller_step_seconds',
      'Time that one repo took in one step.',
      ['step'],
      { buckets: [0.005, 0.02, 0.05, 0.2, 0.5, 2, 5, 20, 60, 300, 1800] },
    );
    this.parts = metrics.counter('backfiller_parts_total', 'Entries appended to the output stream.');
    this.events = metrics.counter('backfiller_events_total', 'Events sent, by type.', ['type']);
    this.unusable = metrics.counter(
      'backfiller_unusable_records_total',
      'Records left out because they can not be said in lexicon JSON, by reason.',
      ['reason'],
    );
    this.inFlight = metrics.gauge('backfiller_repos_in_flight', 'Repos being fetched, compared and sent.');
  }

  /** Times a step, whether it succeeds or not. */
  async time<T>(step: 'identity' | 'wait' | 'fetch' | 'send', task: () => Promise<T>): Promise<T> {
    const end = this.seconds.startTimer({ step });
    try {
      return await task();
    } finally {
      end();
    }
  }
}
