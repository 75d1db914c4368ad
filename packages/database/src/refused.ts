import type { Pool } from './pool.ts';
import type { Refused } from './prepare.ts';

/** Samples kept for each collection and reason. */
const slots = 20;

const statement = `INSERT INTO headwater.refused_record (collection, reason, slot, uri, rev, detail, json)
  SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[])
  ON CONFLICT (collection, reason, slot) DO UPDATE SET uri = excluded.uri, rev = excluded.rev,
    detail = excluded.detail, json = excluded.json, at = now()`;

/**
 * Keeps a sample of records that were not indexed, for looking at. Not part of the transaction that left them out:
 * a sample that is lost is only a sample.
 */
export async function sampleRefused(pool: Pool, refused: readonly Refused[]): Promise<void> {
  const byslot = new Map<string, Refused & { slot: number }>();
  for (const one of refused) {
    const slot = slotOf(one.uri);
    byslot.set(`${one.collection} ${one.reason} ${String(slot).padStart(3, '0')}`, { ...one, slot });
  }
  // Sorted, so that two processes that keep samples at once never wait for each other in a circle.
  const samples = [...byslot].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sample]) => sample);
  const text = (value: string) => value.replaceAll('\0', '');
  await pool.query(statement, [
    samples.map((s) => s.collection),
    samples.map((s) => s.reason),
    samples.map((s) => s.slot),
    samples.map((s) => s.uri),
    samples.map((s) => s.rev),
    samples.map((s) => text(s.detail).slice(0, 1000)),
    samples.map((s) => text(s.json)),
  ]);
}

function slotOf(uri: string): number {
  let hash = 0;
  for (let i = 0; i < uri.length; i++) hash = (Math.imul(hash, 31) + uri.charCodeAt(i)) | 0;
  return (hash >>> 0) % slots;
}
