import { earlier, normalizeDate } from '../dates.ts';
import {
  authorityOf,
  blobCid,
  type Collection,
  collectionOf,
  type Emit,
  jsonList,
  type Lexical,
  type RecordInput,
  RefusedError,
  rkeyOf,
} from './collection.ts';

const postNsid = 'app.bsky.feed.post';

export const post: Collection = {
  nsid: postNsid,
  tables: [
    'post',
    'feed_item',
    'post_embed_image',
    'post_embed_gallery_image',
    'post_embed_video',
    'post_embed_external',
    'post_embed_record',
    'quote',
  ],
  build({ uri, cid, did, record, indexedAt }, emit) {
    const createdAt = normalizeDate(record.createdAt);
    const { root, parent } = record.reply ?? {};
    if (root && !authorityOf(root.uri).startsWith('did:')) {
      throw new RefusedError(
        'root-by-handle',
        'the thread is named by a handle, which may be anybody tomorrow',
      );
    }
    emit('post', [
      uri,
      cid,
      did,
      record.text,
      root?.uri || null,
      root?.cid || null,
      parent?.uri || null,
      parent?.cid || null,
      createdAt,
      indexedAt,
      jsonList(record.langs),
      jsonList(record.tags),
    ]);
    emit('feed_item', [uri, cid, 'post', uri, did, earlier(indexedAt, createdAt)]);
    for (const embed of separateEmbeds(record.embed))
      emitEmbed(embed, { uri, cid, createdAt, indexedAt }, emit);
  },
};

/** A record with media counts as both. */
function separateEmbeds(embed: Lexical): Lexical[] {
  if (!embed) return [];
  if (embed.$type !== 'app.bsky.embed.recordWithMedia') return [embed];
  return [{ ...embed.record, $type: 'app.bsky.embed.record' }, embed.media];
}

interface EmbeddingPost {
  uri: string;
  cid: RecordInput['cid'];
  createdAt: string;
  indexedAt: string;
}

function emitEmbed(embed: Lexical, in_: EmbeddingPost, emit: Emit): void {
  switch (embed.$type) {
    case 'app.bsky.embed.images':
      if (embed.images.length === 0)
        throw new RefusedError('no-images', 'an embed of images without an image');
      embed.images.forEach((image: Lexical, i: number) => {
        emit('post_embed_image', [in_.uri, String(i), blobCid(image.image), image.alt]);
      });
      break;
    case 'app.bsky.embed.gallery':
      embed.items.forEach((item: Lexical, i: number) => {
        if (item.$type !== 'app.bsky.embed.gallery#image') return;
        emit('post_embed_gallery_image', [in_.uri, String(i), blobCid(item.image), item.alt]);
      });
      break;
    case 'app.bsky.embed.video':
      emit('post_embed_video', [in_.uri, blobCid(embed.video), embed.alt ?? null]);
      break;
    case 'app.bsky.embed.external': {
      const { uri, title, description, thumb } = embed.external;
      emit('post_embed_external', [in_.uri, uri, title, description, blobCid(thumb)]);
      break;
    }
    case 'app.bsky.embed.record': {
      const { uri, cid } = embed.record;
      emit('post_embed_record', [in_.uri, uri, cid]);
      if (collectionOf(uri) === postNsid) {
        emit('quote', [in_.uri, in_.cid, uri, cid, in_.createdAt, in_.indexedAt]);
      }
      break;
    }
  }
}

function subjectRow({ uri, cid, did, record, indexedAt }: RecordInput) {
  const { subject, via } = record;
  const createdAt = normalizeDate(record.createdAt);
  return [uri, cid, did, subject.uri, subject.cid, via?.uri ?? null, via?.cid ?? null, createdAt, indexedAt];
}

export const like: Collection = {
  nsid: 'app.bsky.feed.like',
  tables: ['like'],
  claim: { table: 'like', columns: ['creator', 'subject'] },
  build(input, emit) {
    emit('like', subjectRow(input));
  },
};

export const repost: Collection = {
  nsid: 'app.bsky.feed.repost',
  tables: ['repost', 'feed_item'],
  claim: { table: 'repost', columns: ['creator', 'subject'] },
  build(input, emit) {
    const { uri, cid, did, record, indexedAt } = input;
    emit('repost', subjectRow(input));
    // Officially too every repost has its feed item, a duplicate as well.
    const sortAt = earlier(indexedAt, normalizeDate(record.createdAt));
    emit('feed_item', [uri, cid, 'repost', record.subject.uri, did, sortAt]);
  },
};

export const generator: Collection = {
  nsid: 'app.bsky.feed.generator',
  tables: ['feed_generator'],
  build({ uri, cid, did, record, indexedAt }, emit) {
    emit('feed_generator', [
      uri,
      cid,
      did,
      record.did,
      record.displayName ?? null,
      record.description ?? null,
      record.descriptionFacets ? JSON.stringify(record.descriptionFacets) : null,
      blobCid(record.avatar),
      normalizeDate(record.createdAt),
      indexedAt,
    ]);
  },
};

function gateOf(nsid: string, table: 'thread_gate' | 'post_gate'): Collection {
  return {
    nsid,
    tables: [table],
    build({ uri, cid, did, rkey, record, indexedAt }, emit) {
      if (authorityOf(record.post) !== did || rkeyOf(record.post) !== rkey) {
        throw new RefusedError('not-its-post', 'the gate is not of the same creator and rkey as its post');
      }
      emit(table, [uri, cid, did, record.post, normalizeDate(record.createdAt), indexedAt]);
    },
  };
}

export const threadgate = gateOf('app.bsky.feed.threadgate', 'thread_gate');
export const postgate = gateOf('app.bsky.feed.postgate', 'post_gate');
