import { int, url } from './declare.ts';

/** Who looks up DIDs and handles: every service that talks to the network. */
export const identity = {
  plcConcurrency: int('HEADWATER_PLC_CONCURRENCY', 'Questions to the PLC directory at once, per process.', {
    default: 10,
    min: 1,
    max: 100,
  }),
  identityTtlMs: int(
    'HEADWATER_IDENTITY_TTL_MS',
    'How long a DID document is remembered in Redis, in milliseconds, give or take a tenth. A signature that fails asks for a fresh one before.',
    { default: 86_400_000, min: 1_000 },
  ),
  identityCacheSize: int(
    'HEADWATER_IDENTITY_CACHE_SIZE',
    'DID documents remembered in Redis, at most (about 400 bytes each).',
    { default: 250_000, min: 1 },
  ),
  handleResolverUrl: url(
    'HANDLE_RESOLVER_URL',
    ['http', 'https'],
    'A service asked by com.atproto.identity.resolveHandle, in place of DNS and the web. For networks on one machine, whose handles no DNS knows.',
    {},
  ),
} as const;
