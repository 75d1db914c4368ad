import { bytes, flag, int, text } from './declare.ts';

/** services/repo-backfiller. */
export const backfiller = {
  concurrency: int(
    'BACKFILLER_CONCURRENCY',
    'Repos fetched at once by one process. Up to five times as many may wait for slow hosts besides.',
    {
      default: 10,
      min: 1,
      max: 1000,
    },
  ),
  batchSize: int('BACKFILLER_BATCH_SIZE', 'Entries of `repo_backfill` read from Redis at once.', {
    default: 50,
    min: 1,
    max: 1000,
  }),
  inputStream: text('BACKFILLER_INPUT_STREAM', 'Stream of repos to fetch.', { default: 'repo_backfill' }),
  outputStream: text('BACKFILLER_OUTPUT_STREAM', "Stream of the fetched repos' events.", {
    default: 'firehose_backfill',
  }),
  consumerGroup: text('BACKFILLER_CONSUMER_GROUP', 'Consumer group on the input stream.', {
    default: 'repo_backfill_group',
  }),
  consumerName: text('BACKFILLER_CONSUMER_NAME', 'Name in the group; every process needs its own.', {
    defaultText: 'host name and process id',
  }),
  highWaterMark: int(
    'BACKFILLER_HIGH_WATER_MARK',
    'Entries in the output stream above which fetching waits.',
    {
      default: 100_000,
      min: 1,
    },
  ),
  highWaterBytes: bytes(
    'BACKFILLER_HIGH_WATER_BYTES',
    'Bytes in the output stream above which fetching waits.',
    {
      default: 512 * 2 ** 20,
      defaultText: '512MiB',
    },
  ),
  force: flag('BACKFILLER_FORCE', 'Fetch also repos whose stored rev is as new as the listed one.', {
    default: false,
  }),
  maxRepoBytes: bytes('BACKFILLER_MAX_REPO_BYTES', 'Largest CAR accepted, as sent and inflated.', {
    default: 2 * 2 ** 30,
    defaultText: '2GiB',
  }),
  memoryBytes: bytes(
    'BACKFILLER_MEMORY_BYTES',
    'CARs kept in memory, of all repos under way in one process together; what is beyond goes to files.',
    {
      default: 128 * 2 ** 20,
      defaultText: '128MiB',
    },
  ),
  spoolAboveBytes: bytes(
    'BACKFILLER_SPOOL_ABOVE_BYTES',
    'A CAR above this size is kept in a temporary file, not in memory.',
    {
      default: 32 * 2 ** 20,
      defaultText: '32MiB',
    },
  ),
  tmpFolder: text('BACKFILLER_TMP_DIR', 'Folder of those temporary files.', {
    defaultText: '`headwater-backfiller` in the temporary folder of the system',
  }),
  deadlineMs: int('BACKFILLER_DEADLINE_MS', 'Longest time that one CAR may take, in milliseconds.', {
    default: 1_800_000,
    min: 100,
  }),
  minBytesPerSecond: int(
    'BACKFILLER_MIN_BYTES_PER_SECOND',
    'A host that sends more slowly for ten seconds is hung up on.',
    {
      default: 4096,
      min: 1,
    },
  ),
  retryBaseMs: int(
    'BACKFILLER_RETRY_BASE_MS',
    'Pause before the second try at a repo, in milliseconds; it doubles from try to try.',
    {
      default: 10_000,
      min: 1,
    },
  ),
  retryMaxMs: int('BACKFILLER_RETRY_MAX_MS', 'Longest pause between two tries, in milliseconds.', {
    default: 3_600_000,
    min: 1,
  }),
  maxAttempts: int('BACKFILLER_MAX_ATTEMPTS', 'Tries at one repo before it goes to the dead letters.', {
    default: 8,
    min: 1,
  }),
  hostConcurrency: int('BACKFILLER_HOST_CONCURRENCY', 'Repos fetched at once from one host.', {
    default: 4,
    min: 1,
  }),
  hostRequestsPerSecond: int(
    'BACKFILLER_HOST_REQUESTS_PER_SECOND',
    'Requests sent to one host within a second, at most.',
    {
      default: 10,
      min: 1,
    },
  ),
} as const;
