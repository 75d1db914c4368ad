import { schemas } from '@atproto/api';
import type { Collection } from './collections/collection.ts';
import { Lexicon } from './lexicon/compile.ts';

/** Why a record is not indexed. `reason` is one of a few words, `detail` says where. */
export interface Refusal {
  reason: string;
  detail: string;
}

const lexicon = new Lexicon(schemas as unknown as ConstructorParameters<typeof Lexicon>[0]);

/**
 * Checks a record against its collection's lexicon, as strictly as the AppView's own indexer does.
 *
 * @param record lexicon JSON
 * @returns null when it is valid
 */
export function validateRecord(collection: Collection, record: Record<string, unknown>): Refusal | null {
  if (collection.unchecked) return null;
  const check = lexicon.record(collection.nsid);
  if (!check) throw new TypeError(`no lexicon describes ${collection.nsid}`);
  const wrong = check(record);
  return wrong && { reason: wrong.reason, detail: `${wrong.path} should be ${wrong.wanted}` };
}
