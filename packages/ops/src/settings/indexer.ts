import { flag, int, list, oneOf, text } from './declare.ts';

/** services/indexer. */
export const indexer = {
  streams: list('INDEXER_STREAMS', 'Streams to index, comma separated.', {
    default: ['firehose_live', 'firehose_backfill', 'label_live'],
  }),
  mode: oneOf(
    'INDEXER_MODE',
    ['all', 'live', 'backfill', 'labels'],
    'Shorthand for the streams of one kind; `all` reads INDEXER_STREAMS.',
    {
      default: 'all',
    },
  ),
  group: text('INDEXER_GROUP', 'Consumer group on the firehose streams (label_live has `label_group`).', {
    default: 'firehose_group',
  }),
  consumer: text('INDEXER_CONSUMER', 'Name in the group; every process needs its own.', {
    defaultText: 'host name and process id',
  }),
  concurrency: int(
    'INDEXER_CONCURRENCY',
    'PostgreSQL sessions that write, per process. More than two per core of the database cost more than they bring.',
    {
      default: 4,
      min: 1,
      max: 200,
    },
  ),
  batchSize: int('INDEXER_BATCH_SIZE', 'Events written in one transaction, at most.', {
    default: 5000,
    min: 1,
    max: 100_000,
  }),
  batchTimeoutMs: int('INDEXER_BATCH_TIMEOUT_MS', 'Longest wait for a batch to fill, in milliseconds.', {
    default: 100,
    min: 1,
  }),
  maxAttempts: int('INDEXER_MAX_ATTEMPTS', 'Tries at one entry before it goes to the dead letters.', {
    default: 5,
    min: 1,
  }),
  gapGraceMs: int(
    'INDEXER_GAP_GRACE_MS',
    'How long a missing commit of a repo may still come before the repo is fetched again, in milliseconds.',
    { default: 30_000 },
  ),
  handleConcurrency: int('INDEXER_HANDLE_CONCURRENCY', 'Handles verified at once; 0 leaves them to others.', {
    default: 8,
    max: 1000,
  }),
  handleMaxAgeMs: int(
    'INDEXER_HANDLE_MAX_AGE_MS',
    'A handle that was verified longer ago is verified again, in milliseconds, the oldest first; 0: only when the account changes it.',
    { default: 604_800_000 },
  ),
  handleRefreshRate: int(
    'INDEXER_HANDLE_REFRESH_RATE',
    'Handles verified again for their age, per second and process, at most: what is due beyond waits longer. One costs a question to the PLC directory, one to DNS and one to the web.',
    { default: 10, min: 1, max: 1000 },
  ),
  backfillNotifications: flag(
    'INDEXER_BACKFILL_NOTIFICATIONS',
    'Make notifications for records that come from a backfill too.',
    {
      default: false,
    },
  ),
} as const;
