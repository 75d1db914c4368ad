import { jsonToLex, lexicons } from '@atproto/api';
import type { Collection } from './collections/collection.ts';

/** Why a record is not indexed. `reason` is one of a few words, `detail` says where. */
export interface Refusal {
  reason: string;
  detail: string;
}

/**
 * Checks a record against its collection's lexicon.
 *
 * The one place that knows how: a compiled validator can stand here instead.
 *
 * @param record lexicon JSON
 * @returns null when it is valid
 */
export function validateRecord(collection: Collection, record: Record<string, unknown>): Refusal | null {
  if (collection.unchecked) return null;
  try {
    lexicons.assertValidRecord(collection.nsid, jsonToLex(record as never));
    return null;
  } catch (err) {
    const detail = (err as Error).message;
    return { reason: reasonOf(detail), detail };
  }
}

const reasons: [RegExp, string][] = [
  [/must have the property/, 'missing'],
  [/\$type/, 'type'],
  [/longer than|shorter than|graphemes|characters|too many|must not have more|must not have fewer/, 'length'],
  [/must be (an? )?(string|integer|boolean|object|array|blob|bytes|cid)/i, 'type'],
  [/must be/, 'format'],
];

/** The validator's errors carry nothing but their message; this only sorts them for a metric. */
function reasonOf(message: string): string {
  return reasons.find(([pattern]) => pattern.test(message))?.[1] ?? 'lexicon';
}
