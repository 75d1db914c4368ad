import type { Changes, Derivation } from './derivation.ts';

/** Every derivation, in the order in which they run. */
export const derivations: readonly Derivation[] = [];

/** Locks a transaction takes at most: threads share them by hash, so that a large batch can't fill the lock table. */
const buckets = 1024;

/** First half of the advisory locks' two-part key; the other half is the bucket. */
const lockClass = 0x7468;

const takeLocks = {
  name: 'thread locks',
  text: 'SELECT pg_advisory_xact_lock($1, bucket) FROM unnest($2::int[]) AS bucket',
};

/** Runs all derivations over what a batch changed. */
export async function derive(changes: Changes): Promise<void> {
  if (derivations.length === 0) return;
  const wanted = new Set<number>();
  for (const derivation of derivations) {
    for (const key of await derivation.locks(changes)) wanted.add(bucketOf(key));
  }
  if (wanted.size > 0) {
    const sorted = [...wanted].sort((a, b) => a - b);
    await changes.client.query({ ...takeLocks, values: [lockClass, sorted] });
  }
  for (const derivation of derivations) await derivation.apply(changes);
}

function bucketOf(key: string): number {
  let hash = 0;
  for (let i = 0; i < key.length; i++) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
  return (hash >>> 0) % buckets;
}
