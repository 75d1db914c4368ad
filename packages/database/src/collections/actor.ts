import { normalizeDate } from '../dates.ts';
import { blobCid, type Collection } from './collection.ts';

export const profile: Collection = {
  nsid: 'app.bsky.actor.profile',
  tables: ['profile'],
  build({ uri, cid, did, rkey, record, indexedAt }, emit) {
    if (rkey !== 'self') return;
    emit('profile', [
      uri,
      cid,
      did,
      record.displayName ?? null,
      record.description ?? null,
      blobCid(record.avatar),
      blobCid(record.banner),
      record.joinedViaStarterPack?.uri ?? null,
      // As it is, officially too; where it is missing the time of indexing stands in.
      record.createdAt ?? indexedAt,
      indexedAt,
    ]);
  },
};

export const labeler: Collection = {
  nsid: 'app.bsky.labeler.service',
  tables: ['labeler'],
  build({ uri, cid, did, rkey, record, indexedAt }, emit) {
    if (rkey !== 'self') return;
    emit('labeler', [uri, cid, did, normalizeDate(record.createdAt), indexedAt]);
  },
};

/** Collections that are kept as records alone. */
function recordOnly(nsid: string, unchecked = false): Collection {
  return { nsid, tables: [], unchecked, build() {} };
}

export const status = recordOnly('app.bsky.actor.status');
export const notificationDeclaration = recordOnly('app.bsky.notification.declaration');
export const chatDeclaration = recordOnly('chat.bsky.actor.declaration', true);
export const germDeclaration = recordOnly('com.germnetwork.declaration');
