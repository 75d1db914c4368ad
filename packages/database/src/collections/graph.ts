import { normalizeDate } from '../dates.ts';
import { authorityOf, blobCid, type Collection, RefusedError } from './collection.ts';

export const follow: Collection = {
  nsid: 'app.bsky.graph.follow',
  tables: ['follow'],
  claim: { table: 'follow', columns: ['creator', 'subjectDid'] },
  build({ uri, cid, did, record, indexedAt }, emit) {
    emit('follow', [uri, cid, did, record.subject, normalizeDate(record.createdAt), indexedAt]);
  },
};

export const block: Collection = {
  nsid: 'app.bsky.graph.block',
  tables: ['actor_block'],
  claim: { table: 'actor_block', columns: ['creator', 'subjectDid'] },
  build({ uri, cid, did, record, indexedAt }, emit) {
    emit('actor_block', [uri, cid, did, record.subject, normalizeDate(record.createdAt), indexedAt]);
  },
};

export const list: Collection = {
  nsid: 'app.bsky.graph.list',
  tables: ['list'],
  build({ uri, cid, did, record, indexedAt }, emit) {
    emit('list', [
      uri,
      cid,
      did,
      record.name,
      record.purpose,
      record.description ?? null,
      record.descriptionFacets ? JSON.stringify(record.descriptionFacets) : null,
      blobCid(record.avatar),
      normalizeDate(record.createdAt),
      indexedAt,
    ]);
  },
};

export const listitem: Collection = {
  nsid: 'app.bsky.graph.listitem',
  tables: ['list_item'],
  claim: { table: 'list_item', columns: ['listUri', 'subjectDid'] },
  build({ uri, cid, did, record, indexedAt }, emit) {
    if (authorityOf(record.list) !== did) {
      throw new RefusedError('not-its-list', 'the creator of the item is not the creator of its list');
    }
    const createdAt = normalizeDate(record.createdAt);
    emit('list_item', [uri, cid, did, record.subject, record.list, createdAt, indexedAt]);
  },
};

export const listblock: Collection = {
  nsid: 'app.bsky.graph.listblock',
  tables: ['list_block'],
  claim: { table: 'list_block', columns: ['creator', 'subjectUri'] },
  build({ uri, cid, did, record, indexedAt }, emit) {
    emit('list_block', [uri, cid, did, record.subject, normalizeDate(record.createdAt), indexedAt]);
  },
};

/** A list named by DID, collection and rkey, without anything after them. */
const listUri = /^at:\/\/did:[a-z]+:[^/?#]+\/app\.bsky\.graph\.list\/[A-Za-z0-9._:~-]+$/;

export const referencelistoptout: Collection = {
  nsid: 'app.bsky.graph.referencelistoptout',
  tables: ['reference_list_opt_out'],
  claim: { table: 'reference_list_opt_out', columns: ['creator', 'subjectUri'] },
  build({ uri, cid, did, record, indexedAt }, emit) {
    // Officially such a record is stored and has no row of its own.
    if (!listUri.test(record.subject)) return;
    const createdAt = normalizeDate(record.createdAt);
    emit('reference_list_opt_out', [uri, cid, did, record.subject, createdAt, indexedAt]);
  },
};

export const starterpack: Collection = {
  nsid: 'app.bsky.graph.starterpack',
  tables: ['starter_pack'],
  build({ uri, cid, did, record, indexedAt }, emit) {
    emit('starter_pack', [uri, cid, did, record.name, normalizeDate(record.createdAt), indexedAt]);
  },
};

export const verification: Collection = {
  nsid: 'app.bsky.graph.verification',
  tables: ['verification'],
  claim: { table: 'verification', columns: ['creator', 'subject'] },
  build({ uri, cid, did, rkey, record, indexedAt }, emit) {
    const { subject, handle, displayName } = record;
    const createdAt = normalizeDate(record.createdAt);
    emit('verification', [uri, cid, rkey, did, subject, handle, displayName, createdAt, indexedAt]);
  },
};
