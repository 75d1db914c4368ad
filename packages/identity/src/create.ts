import type { Metrics } from '@headwater/ops';
import type { XrpcClient } from '@headwater/xrpc';
import type { CacheStore } from './cache.ts';
import { HandleResolver } from './handle.ts';
import { httpOf } from './http.ts';
import { IdentityResolver } from './resolver.ts';

export interface IdentitySettings {
  plcUrl: string;
  plcConcurrency: number;
  identityTtlMs: number;
  identityCacheSize: number;
  handleResolverUrl: string | undefined;
}

/** Both resolvers of a service, from its settings. `store`: Redis. */
export function createIdentity({
  client,
  store,
  metrics,
  settings,
}: {
  client: XrpcClient;
  store: CacheStore;
  metrics: Metrics;
  settings: IdentitySettings;
}): { identities: IdentityResolver; handles: HandleResolver } {
  const { plcUrl, handleResolverUrl } = settings;
  const get = httpOf(client, [plcUrl, handleResolverUrl]);
  const identities = new IdentityResolver({
    get,
    plcUrl,
    store,
    metrics,
    plcConcurrency: settings.plcConcurrency,
    ttlMs: settings.identityTtlMs,
    cacheSlots: settings.identityCacheSize,
    allowLocalhost: client.allowPrivateAddresses,
  });
  return { identities, handles: new HandleResolver({ get, metrics, resolverUrl: handleResolverUrl }) };
}
