import { curves, figure, type Row } from './panels.ts';

const byStream = (metric: string) => `max by (stream) (headwater_stream_${metric})`;
const rate = (metric: string, by: string, labels = '') =>
  `sum by (${by}) (rate(headwater_${metric}${labels}[$__rate_interval]))`;
const quantile = (q: number, metric: string, by = '') =>
  `histogram_quantile(${q}, sum by (le${by && `, ${by}`}) (rate(headwater_${metric}_bucket[$__rate_interval])))`;

/** One row a question, in the order in which an operator asks. */
export const overview: Row[] = [
  {
    question: 'Is anything wrong?',
    panels: [
      figure(
        'Critical alerts',
        'short',
        'count(ALERTS{alertstate="firing", severity="critical"}) or vector(0)',
        { redFrom: 1 },
      ),
      figure('Warnings', 'short', 'count(ALERTS{alertstate="firing", severity="warning"}) or vector(0)', {
        redFrom: 1,
      }),
      figure(
        'Processes that answer',
        'short',
        'count(up{job=~"ingester-.*|indexer-.*|repo-backfiller"} == 1)',
      ),
      figure(
        'Age of the newest live event',
        's',
        'time() - min(headwater_ingester_last_event_timestamp_seconds{feed="firehose"})',
        { redFrom: 300 },
      ),
      figure(
        'Dead letters',
        'short',
        'sum(max by (stream) (headwater_stream_dead_entries{stream!~".*:urgent"}))',
        { redFrom: 1 },
      ),
      figure(
        'Redis, of its maxmemory',
        'percentunit',
        'max(headwater_redis_memory_used_bytes / (headwater_redis_memory_max_bytes > 0))',
        { redFrom: 0.9 },
      ),
    ],
  },
  {
    question: 'How far behind the network are we?',
    panels: [
      curves('From the event to PostgreSQL', 's', [
        [quantile(0.5, 'indexer_live_delay_seconds'), 'half of all'],
        [quantile(0.9, 'indexer_live_delay_seconds'), 'nine in ten'],
        [quantile(0.99, 'indexer_live_delay_seconds'), '99 in a hundred'],
      ]),
      curves('Live events by type', 'ops', [
        [rate('ingester_events_total', 'feed, type'), '{{feed}} {{type}}'],
      ]),
      curves('Commits, by how they fit their repo', 'ops', [
        [rate('indexer_commits_total', 'outcome'), '{{outcome}}'],
      ]),
    ],
  },
  {
    question: 'Does anything pile up?',
    panels: [
      curves('Entries in the streams', 'short', [[byStream('length_entries'), '{{stream}}']]),
      curves('Not yet read', 'short', [[byStream('lag_entries'), '{{stream}}']], {
        about: 'Missing while unknown.',
      }),
      curves('Read and not ended', 'short', [[byStream('pending_entries'), '{{stream}}']]),
      curves('Age of the oldest that is read and not ended', 's', [
        [byStream('oldest_pending_seconds'), '{{stream}}'],
      ]),
      curves(
        'Producers wait',
        'percentunit',
        [[rate('stream_backpressure_seconds_total', 'stream, pressure'), '{{stream}} for {{pressure}}']],
        { about: 'Share of the time, summed over producers; known when the wait has ended.' },
      ),
      curves('Entries ended', 'ops', [
        [rate('stream_ended_entries_total', 'stream, ending'), '{{stream}} {{ending}}'],
      ]),
    ],
  },
  {
    question: 'How far is the backfill?',
    panels: [
      curves('Repos listed', 'ops', [[rate('ingester_listed_repos_total', 'state'), '{{state}}']]),
      curves('Repos waiting', 'short', [
        ['max by (stream) (headwater_stream_length_entries{group="repo_backfill_group"})', '{{stream}}'],
        [
          'max by (stream) (headwater_stream_parked_entries{group="repo_backfill_group"})',
          '{{stream}} for later',
        ],
      ]),
      curves('Repos looked at, by outcome', 'ops', [
        [rate('backfiller_repos_total', 'outcome'), '{{outcome}}'],
      ]),
      curves('Failed tries, by reason', 'ops', [[rate('backfiller_failures_total', 'reason'), '{{reason}}']]),
      curves('Fetched', 'Bps', [
        ['sum(rate(headwater_backfiller_fetched_bytes_total[$__rate_interval]))', 'CARs'],
      ]),
      curves('Seconds a repo, nine in ten', 's', [
        [quantile(0.9, 'backfiller_step_seconds', 'step'), '{{step}}'],
      ]),
      curves('In flight, and hosts left alone', 'short', [
        ['sum(headwater_backfiller_repos_in_flight)', 'repos in flight'],
        ['max(headwater_backfiller_hosts_parked)', 'hosts parked'],
      ]),
      curves('Whole repos in PostgreSQL', 'ops', [
        ['sum(rate(headwater_indexer_repos_completed_total[$__rate_interval]))', 'complete'],
      ]),
      curves('Hosts by the state of their listing', 'short', [
        ['sum by (state) (headwater_ingester_enumerations)', '{{state}}'],
      ]),
    ],
  },
  {
    question: 'What is written?',
    panels: [
      curves('Rows by table', 'ops', [[rate('indexer_rows_total', 'table'), '{{table}}']], { stacked: true }),
      curves('Records, by what became of them', 'ops', [
        [rate('indexer_records_total', 'change'), '{{change}}'],
      ]),
      curves('Seconds a transaction, nine in ten', 's', [
        [quantile(0.9, 'indexer_batch_seconds', 'stream'), '{{stream}}'],
      ]),
      curves('Events a transaction', 'short', [
        [
          'sum by (stream) (rate(headwater_indexer_batch_events_sum[$__rate_interval])) / sum by (stream) (rate(headwater_indexer_batch_events_count[$__rate_interval]))',
          '{{stream}}',
        ],
      ]),
      curves('Entries by path', 'ops', [[rate('indexer_entries_total', 'path'), '{{path}}']], {
        about: 'direct: copied without reading; merge: compared with the rows.',
      }),
      curves('Labels', 'ops', [[rate('indexer_labels_total', 'outcome'), '{{outcome}}']]),
    ],
  },
  {
    question: 'What is left out, and why?',
    panels: [
      curves('Live frames', 'ops', [[rate('ingester_drops_total', 'feed, reason'), '{{feed}} {{reason}}']]),
      curves('Events', 'ops', [[rate('indexer_drops_total', 'stream, reason'), '{{stream}} {{reason}}']]),
      curves('Records', 'ops', [
        [rate('indexer_refused_total', 'collection, reason'), '{{collection}} {{reason}}'],
      ]),
      curves('Dead letters', 'short', [[byStream('dead_entries'), '{{stream}}']]),
      curves('Repos to be fetched again', 'ops', [
        [rate('indexer_gaps_total', 'reason'), 'indexer {{reason}}'],
        [rate('ingester_repairs_total', 'reason'), 'ingester {{reason}}'],
      ]),
      curves('Reconnects and restarts', 'ops', [
        [rate('ingester_reconnects_total', 'feed, reason'), '{{feed}} {{reason}}'],
        [rate('task_restarts_total', 'task'), 'task {{task}}'],
      ]),
    ],
  },
  {
    question: 'Is there room?',
    panels: [
      curves('Memory of Redis', 'bytes', [
        ['max(headwater_redis_memory_used_bytes)', 'used'],
        ['max(headwater_redis_memory_max_bytes)', 'maxmemory'],
        [byStream('length_bytes'), '{{stream}}'],
      ]),
      curves('Free on the disks', 'percentunit', [
        [
          'node_filesystem_avail_bytes{fstype!~"tmpfs|overlay|squashfs|ramfs"} / node_filesystem_size_bytes',
          '{{mountpoint}}',
        ],
      ]),
      curves('Memory of the processes', 'bytes', [
        ['max by (job) (headwater_process_resident_memory_bytes)', '{{job}}'],
      ]),
      curves('CPU of the processes', 'short', [
        ['sum by (job) (rate(headwater_process_cpu_seconds_total[$__rate_interval]))', '{{job}}'],
      ]),
      curves('Event loop, 99 in a hundred', 's', [
        ['max by (job) (headwater_nodejs_eventloop_lag_p99_seconds)', '{{job}}'],
      ]),
      curves('DIDs and handles looked up', 'ops', [
        [rate('identity_lookups_total', 'source, outcome'), '{{source}} {{outcome}}'],
        [rate('handle_lookups_total', 'outcome'), 'handle {{outcome}}'],
      ]),
    ],
  },
];
