import { decodeEvents } from '@headwater/events';
import type { ReadFields } from '@headwater/streams';
import type { Operation } from '../reference/operation.ts';

/** The records of whole repos as operations, until there are enough of them. */
export function operationsOf(entries: readonly ReadFields[], enough: number): Operation[] {
  const operations: Operation[] = [];
  for (const fields of entries) {
    if (operations.length >= enough) break;
    for (const event of decodeEvents(fields)) {
      if (event.type !== 'create') continue;
      const { did, collection, rkey, cid, record, time } = event;
      operations.push({ action: 'create', did, collection, rkey, cid, record, time });
    }
  }
  return operations;
}
