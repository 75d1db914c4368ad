import { bytes, flag, int, list, oneOf } from './declare.ts';

/** services/ingester. */
export const ingester = {
  relayHosts: list(
    'INGESTER_RELAY_HOSTS',
    'Relays (or PDS hosts) to enumerate and to follow, comma separated.',
    {
      default: ['bsky.network'],
    },
  ),
  labelerHosts: list('INGESTER_LABELER_HOSTS', 'Labelers to follow, by host, URL or DID, comma separated.', {
    default: ['mod.bsky.app'],
  }),
  mode: oneOf(
    'INGESTER_MODE',
    ['all', 'firehose', 'backfill', 'labels'],
    'Which of the three ways in this process runs.',
    {
      default: 'all',
    },
  ),
  highWaterMark: int('INGESTER_HIGH_WATER_MARK', 'Entries in a stream above which its producers wait.', {
    default: 1_000_000,
    min: 1,
  }),
  highWaterBytes: bytes('INGESTER_HIGH_WATER_BYTES', 'Bytes in a stream above which its producers wait.', {
    default: 1024 * 2 ** 20,
    defaultText: '1GiB',
  }),
  batchSize: int('INGESTER_BATCH_SIZE', 'Live entries written to Redis at once, at most.', {
    default: 500,
    min: 1,
    max: 10_000,
  }),
  batchTimeoutMs: int(
    'INGESTER_BATCH_TIMEOUT_MS',
    'Longest wait for a live batch to fill, in milliseconds. An event that finds nothing being written waits for none; below 5 batches of a busy stream are smaller.',
    {
      default: 1000,
      min: 1,
    },
  ),
  verify: oneOf(
    'INGESTER_VERIFY',
    ['full', 'structure', 'off'],
    "How far live commits are checked before they reach the stream, beyond sizes, hashes and form: `structure` holds the operations against their tree and undoes them to `prevData`; `full` verifies the signature too, with the key of the account's DID document.",
    { default: 'full' },
  ),
  verifyWaitMs: int(
    'INGESTER_VERIFY_WAIT_MS',
    'How long a commit waits for the DID document that its signature is verified with while the directory gives no answer, in milliseconds. Then it is left out, and its repo is fetched when the directory is back: nothing is believed on trust. Commits of other accounts go on meanwhile.',
    { default: 60_000 },
  ),
  verifyLabels: flag(
    'INGESTER_VERIFY_LABELS',
    'Take only labels that are signed with the key that the DID document of their labeler names under `#atproto_label`. Off: for a labeler that signs none, or whose old labels are to count though they were signed with a former key.',
    { default: true },
  ),
  keyCacheSize: int(
    'INGESTER_KEY_CACHE_SIZE',
    'Signing keys remembered in Redis, at most (some 130 bytes each): those of the accounts that write.',
    { default: 1_000_000, min: 100 },
  ),
  dids: list('INGESTER_DIDS', 'Only these repos, comma separated; nothing is enumerated then.', {
    default: [],
  }),
  listCollections: list(
    'INGESTER_COLLECTIONS',
    'Enumerate only repos that have a record of one of these collections (whole NSIDs, comma separated), where the relay knows listReposByCollection. Empty: all repos. What is kept of a repo says INDEXER_COLLECTIONS.',
    {
      default: [],
    },
  ),
  hostsFromRelay: flag(
    'INGESTER_HOSTS_FROM_RELAY',
    'After the list of a relay is through, ask it for the hosts that it knows, and each of them for its repos: a relay lists not all there are. Not with INGESTER_DIDS or INGESTER_COLLECTIONS.',
    { default: true },
  ),
  hostsConcurrency: int('INGESTER_HOSTS_CONCURRENCY', 'Hosts of a relay listed at once.', {
    default: 8,
    min: 1,
    max: 1000,
  }),
  hostsRelistMs: int(
    'INGESTER_HOSTS_RELIST_MS',
    'Pause before a host of a relay that was listed is asked for new repos, in milliseconds.',
    { default: 86_400_000, min: 100 },
  ),
  leaseMs: int(
    'INGESTER_LEASE_MS',
    'How long a copy that died keeps the others from reading its hosts, in milliseconds.',
    {
      default: 10_000,
      min: 100,
    },
  ),
  idleMs: int(
    'INGESTER_IDLE_MS',
    'A subscription to a relay without data for this long is dead and is opened again, in milliseconds; to a labeler ten times as long.',
    {
      default: 60_000,
      min: 100,
    },
  ),
  relistMs: int(
    'INGESTER_RELIST_MS',
    'Pause before a finished enumeration looks for new repos, in milliseconds.',
    {
      default: 300_000,
      min: 100,
    },
  ),
} as const;
