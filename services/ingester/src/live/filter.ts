import { collectionFilter } from '@headwater/events';

/** What of the live stream is wanted. */
export interface Filter {
  did(did: string): boolean;
  collection(nsid: string): boolean;
}

/**
 * @param collections as collectionFilter reads them
 * @param dids only these repos; none: all
 */
export function filterOf(collections: readonly string[], dids: readonly string[] = []): Filter {
  const wanted = new Set(dids);
  return {
    did: wanted.size === 0 ? () => true : (did) => wanted.has(did),
    collection: collectionFilter(collections),
  };
}
