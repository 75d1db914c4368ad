import { flag, int, list, oneOf, text, url } from './declare.ts';

/** What every service reads. */
export const common = {
  redisUrl: url(
    'REDIS_URL',
    ['redis', 'rediss', 'redis+cluster', 'rediss+cluster', 'redis+sentinel'],
    'Redis with the streams. A cluster: `redis+cluster://host:port,host:port`. Behind Sentinel: `redis+sentinel://host:port,host:port/MASTER`.',
    { required: true, secret: true, example: 'redis://127.0.0.1:6379' },
  ),
  plcUrl: url('PLC_URL', ['http', 'https'], 'The PLC directory.', { default: 'https://plc.directory' }),
  metricsPort: int('METRICS_PORT', 'Port of /metrics, /healthz and /readyz; 0 takes a free one.', {
    defaultText: '9101 ingester, 9102 repo-backfiller, 9103 indexer, 9104 console',
    max: 65535,
  }),
  metricsHost: text('METRICS_HOST', 'Address on which the metrics are served.', { default: '127.0.0.1' }),
  logLevel: oneOf(
    'LOG_LEVEL',
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'Least severity that is logged.',
    { default: 'info' },
  ),
  contact: text(
    'HEADWATER_CONTACT',
    'A mail address or URL sent in the User-Agent, so that hosts can reach the operator.',
    { default: '' },
  ),
  allowPrivateAddresses: flag(
    'HEADWATER_ALLOW_PRIVATE_ADDRESSES',
    'Connect to loopback and private addresses that DID documents and redirects name. For networks on one machine only.',
    { default: false },
  ),
  drainMs: int(
    'HEADWATER_DRAIN_MS',
    'How long a service may finish what it has in hand after SIGTERM, in milliseconds.',
    {
      default: 20_000,
    },
  ),
} as const;

/** What every service reads that touches PostgreSQL. */
export const database = {
  databaseUrl: url('DATABASE_URL', ['postgres', 'postgresql'], 'PostgreSQL 15 or newer.', {
    required: true,
    secret: true,
    example: 'postgres://headwater:secret@127.0.0.1:5432/headwater',
  }),
  databaseSchema: text('DATABASE_SCHEMA', "Schema of the AppView's tables.", { default: 'bsky' }),
} as const;

/** What is kept of the network, shared by the firehose's and the backfill's way in. */
export const selection = {
  collections: list(
    'INDEXER_COLLECTIONS',
    'Collections to keep, comma separated; `*` at the end stands for one or more whole NSID segments (`app.bsky.*`), alone for everything.',
    { default: ['app.bsky.*', 'chat.bsky.actor.declaration', 'com.germnetwork.declaration'] },
  ),
} as const;
