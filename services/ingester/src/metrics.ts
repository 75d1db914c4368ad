import type { Metrics } from '@headwater/ops';

/** Which subscription a figure is about; several hosts of one kind are summed, or the worst of them is shown. */
export type Feed = 'firehose' | 'labels';

/** What an enumeration does at the moment. */
export type ListingState = 'standby' | 'listing' | 'done' | 'stuck';

/** Everything that the ingester counts. */
export interface IngesterMetrics {
  event(feed: Feed, type: string): void;
  drop(feed: Feed, reason: string): void;
  reconnect(feed: Feed, reason: string): void;
  repair(reason: string): void;
  /** A signed statement was judged. */
  verdict(verdict: 'verified' | 'legacy' | 'unchecked' | 'refused'): void;
  /** How many statements of a host wait for a DID document, asked for when it is shown. */
  waiting(host: string, count: () => number): void;
  /** A batch is durable up to `seq`; `time` is that of its last event. */
  progress(feed: Feed, host: string, seq: number, time: string | undefined): void;
  connected(feed: Feed, host: string, open: boolean): void;
  /** Another copy of the service follows the host now: its figures are that copy's to show. */
  left(feed: Feed, host: string): void;
  page(repos: number, inactive: number, unusable: number): void;
  listingError(kind: string): void;
  skip(): void;
  loop(): void;
  /** A host of a relay had its turn. */
  hostLook(outcome: string): void;
  listing(name: string, state: ListingState): void;
  isOpen(feed: Feed, host: string): boolean;
}

/** Registers the metrics once a process. */
export function ingesterMetrics(metrics: Metrics): IngesterMetrics {
  return { ...feedMetrics(metrics), ...listingMetrics(metrics) };
}

function feedMetrics(metrics: Metrics) {
  const events = metrics.counter('ingester_events_total', 'Events received, by type.', ['feed', 'type']);
  const drops = metrics.counter('ingester_drops_total', 'Frames, commits and labels left out, by reason.', [
    'feed',
    'reason',
  ]);
  const reconnects = metrics.counter('ingester_reconnects_total', 'Subscriptions opened again, by cause.', [
    'feed',
    'reason',
  ]);
  const repairs = metrics.counter('ingester_repairs_total', 'Repos sent to be fetched again, by reason.', [
    'reason',
  ]);
  const verdicts = metrics.counter(
    'ingester_statements_total',
    'Commits and #sync, by what verification says.',
    ['verdict'],
  );
  const waiting = new Map<string, () => number>();
  metrics.gauge(
    'ingester_waiting_statements',
    'Commits and #sync that wait for a DID document to be verified with.',
    [],
    {
      collect() {
        this.set([...waiting.values()].reduce((sum, count) => sum + count(), 0));
      },
    },
  );
  const seqs = byFeed();
  const times = byFeed();
  const open = byFeed();
  metrics.gauge('ingester_last_seq', 'Highest sequence number that is durable.', ['feed'], {
    collect: show(seqs, Math.max),
  });
  metrics.gauge(
    'ingester_last_event_timestamp_seconds',
    'Time of the last event of the host that is furthest behind.',
    ['feed'],
    {
      collect: show(times, Math.min),
    },
  );
  metrics.gauge('ingester_connected', 'Subscriptions that are open.', ['feed'], {
    collect: show(open, (...all) => all.reduce((a, b) => a + b, 0)),
  });
  return {
    event: (feed: Feed, type: string) => events.inc({ feed, type }),
    drop: (feed: Feed, reason: string) => drops.inc({ feed, reason }),
    reconnect: (feed: Feed, reason: string) => reconnects.inc({ feed, reason }),
    repair: (reason: string) => repairs.inc({ reason }),
    verdict: (verdict: string) => verdicts.inc({ verdict }),
    waiting: (host: string, count: () => number) => void waiting.set(host, count),
    progress(feed: Feed, host: string, seq: number, time: string | undefined) {
      seqs[feed].set(host, seq);
      const seconds = Date.parse(time ?? '') / 1000;
      if (!Number.isNaN(seconds)) times[feed].set(host, seconds);
    },
    connected: (feed: Feed, host: string, is: boolean) => void open[feed].set(host, is ? 1 : 0),
    left(feed: Feed, host: string) {
      for (const figures of [seqs, times, open]) figures[feed].delete(host);
    },
    isOpen: (feed: Feed, host: string) => open[feed].get(host) === 1,
  };
}

function listingMetrics(metrics: Metrics) {
  const pages = metrics.counter('ingester_list_pages_total', 'Pages of repos read.');
  const repos = metrics.counter('ingester_listed_repos_total', 'Repos listed.', ['state']);
  const errors = metrics.counter('ingester_list_errors_total', 'Failed requests for a page, by kind.', [
    'kind',
  ]);
  const skips = metrics.counter(
    'ingester_list_skips_total',
    'Ranges of an enumeration that had to be left out.',
  );
  const loops = metrics.counter(
    'ingester_list_loops_total',
    'Enumerations ended because their cursors came round.',
  );
  const looks = metrics.counter(
    'ingester_host_looks_total',
    'Turns of hosts that a relay knows, at listing their repos.',
    ['outcome'],
  );
  const states = new Map<string, ListingState>();
  metrics.gauge('ingester_enumerations', 'Hosts by the state of their enumeration.', ['state'], {
    collect() {
      this.reset();
      for (const state of states.values()) this.inc({ state });
    },
  });
  return {
    page(all: number, inactive: number, unusable: number) {
      pages.inc();
      repos.inc({ state: 'active' }, all - inactive);
      repos.inc({ state: 'inactive' }, inactive);
      repos.inc({ state: 'unusable' }, unusable);
    },
    listingError: (kind: string) => errors.inc({ kind }),
    skip: () => skips.inc(),
    loop: () => loops.inc(),
    hostLook: (outcome: string) => looks.inc({ outcome }),
    listing: (name: string, state: ListingState) => void states.set(name, state),
  };
}

function byFeed(): Record<Feed, Map<string, number>> {
  return { firehose: new Map(), labels: new Map() };
}

/** Shows one figure a feed, made from those of its hosts; nothing where there is none yet. */
function show(values: Record<Feed, Map<string, number>>, merge: (...all: number[]) => number) {
  return function (this: { reset(): void; set(labels: { feed: string }, value: number): void }) {
    this.reset();
    for (const [feed, hosts] of Object.entries(values)) {
      if (hosts.size > 0) this.set({ feed }, merge(...hosts.values()));
    }
  };
}
