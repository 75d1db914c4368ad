/** Columns of the two tables of counts that records change. */
export type Counter =
  | 'post_agg.likeCount'
  | 'post_agg.repostCount'
  | 'post_agg.replyCount'
  | 'post_agg.quoteCount'
  | 'profile_agg.postsCount'
  | 'profile_agg.followsCount'
  | 'profile_agg.followersCount';

export interface CountRule {
  counter: Counter;
  /** Column that holds the row's key in the table of counts; NULL counts nowhere. */
  key: string;
  /** Boolean column that takes the row out of the count when true. */
  unless?: string;
}

export interface TableSpec {
  /** Columns that we write, in the order of a builder's values. */
  columns: readonly string[];
  /** Column that holds the URI of the record that the row belongs to. */
  owner: string;
  counts?: readonly CountRule[];
  /** Further columns that derivations want to see of deleted rows. */
  returns?: readonly string[];
  /** Columns of type jsonb; all others are texts. */
  jsonb?: readonly string[];
  /** Column whose text stays at hand with each row that is made, since claims and counts ask for it; so does the creator's. */
  subject?: string;
}

const subjectRecord = [
  'uri',
  'cid',
  'creator',
  'subject',
  'subjectCid',
  'via',
  'viaCid',
  'createdAt',
  'indexedAt',
];
const subjectDid = ['uri', 'cid', 'creator', 'subjectDid', 'createdAt', 'indexedAt'];
const subjectUri = ['uri', 'cid', 'creator', 'subjectUri', 'createdAt', 'indexedAt'];
const gate = ['uri', 'cid', 'creator', 'postUri', 'createdAt', 'indexedAt'];
const image = ['postUri', 'position', 'imageCid', 'alt'];

/**
 * Every table that a record fills. What is not here is not written by builders: `record` itself, counts,
 * and what is derived from several records (src/derived).
 */
export const tables = {
  post: {
    columns: [
      'uri',
      'cid',
      'creator',
      'text',
      'replyRoot',
      'replyRootCid',
      'replyParent',
      'replyParentCid',
      'createdAt',
      'indexedAt',
      'langs',
      'tags',
    ],
    owner: 'uri',
    counts: [
      { counter: 'profile_agg.postsCount', key: 'creator' },
      { counter: 'post_agg.replyCount', key: 'replyParent', unless: 'violatesThreadGate' },
    ],
    returns: ['replyRoot', 'replyParent', 'sortAt', 'invalidReplyRoot'],
    jsonb: ['langs', 'tags'],
    subject: 'replyParent',
  },
  post_embed_image: { columns: image, owner: 'postUri' },
  post_embed_gallery_image: { columns: image, owner: 'postUri' },
  post_embed_video: { columns: ['postUri', 'videoCid', 'alt'], owner: 'postUri' },
  post_embed_external: {
    columns: ['postUri', 'uri', 'title', 'description', 'thumbCid'],
    owner: 'postUri',
  },
  post_embed_record: { columns: ['postUri', 'embedUri', 'embedCid'], owner: 'postUri' },
  quote: {
    columns: ['uri', 'cid', 'subject', 'subjectCid', 'createdAt', 'indexedAt'],
    owner: 'uri',
    counts: [{ counter: 'post_agg.quoteCount', key: 'subject' }],
    subject: 'subject',
  },
  like: {
    columns: subjectRecord,
    owner: 'uri',
    counts: [{ counter: 'post_agg.likeCount', key: 'subject' }],
    subject: 'subject',
  },
  repost: {
    columns: subjectRecord,
    owner: 'uri',
    counts: [{ counter: 'post_agg.repostCount', key: 'subject' }],
    subject: 'subject',
  },
  feed_item: {
    columns: ['uri', 'cid', 'type', 'postUri', 'originatorDid', 'sortAt'],
    owner: 'uri',
  },
  feed_generator: {
    columns: [
      'uri',
      'cid',
      'creator',
      'feedDid',
      'displayName',
      'description',
      'descriptionFacets',
      'avatarCid',
      'createdAt',
      'indexedAt',
    ],
    owner: 'uri',
  },
  thread_gate: { columns: gate, owner: 'uri' },
  post_gate: { columns: gate, owner: 'uri' },
  follow: {
    columns: subjectDid,
    owner: 'uri',
    counts: [
      { counter: 'profile_agg.followsCount', key: 'creator' },
      { counter: 'profile_agg.followersCount', key: 'subjectDid' },
    ],
    returns: ['sortAt'],
    subject: 'subjectDid',
  },
  actor_block: { columns: subjectDid, owner: 'uri', subject: 'subjectDid' },
  list: {
    columns: [
      'uri',
      'cid',
      'creator',
      'name',
      'purpose',
      'description',
      'descriptionFacets',
      'avatarCid',
      'createdAt',
      'indexedAt',
    ],
    owner: 'uri',
  },
  list_item: {
    columns: ['uri', 'cid', 'creator', 'subjectDid', 'listUri', 'createdAt', 'indexedAt'],
    owner: 'uri',
    returns: ['listUri', 'subjectDid', 'sortAt'],
  },
  list_block: { columns: subjectUri, owner: 'uri' },
  reference_list_opt_out: {
    columns: subjectUri,
    owner: 'uri',
    returns: ['creator', 'subjectUri', 'sortAt'],
  },
  starter_pack: { columns: ['uri', 'cid', 'creator', 'name', 'createdAt', 'indexedAt'], owner: 'uri' },
  profile: {
    columns: [
      'uri',
      'cid',
      'creator',
      'displayName',
      'description',
      'avatarCid',
      'bannerCid',
      'joinedViaStarterPackUri',
      'createdAt',
      'indexedAt',
    ],
    owner: 'uri',
  },
  labeler: { columns: ['uri', 'cid', 'creator', 'createdAt', 'indexedAt'], owner: 'uri' },
  verification: {
    columns: ['uri', 'cid', 'rkey', 'creator', 'subject', 'handle', 'displayName', 'createdAt', 'indexedAt'],
    owner: 'uri',
    returns: ['creator', 'subject', 'cid'],
  },
} as const satisfies Record<string, TableSpec>;

export type TableName = keyof typeof tables;

export function specOf(table: TableName): TableSpec {
  return tables[table];
}

/** Tables with rows for records of many collections. */
export const others = {
  record: { columns: ['uri', 'cid', 'did', 'indexedAt', 'rev', 'json'] },
  duplicate_record: { columns: ['uri', 'cid', 'duplicateOf', 'indexedAt'] },
  notification: {
    columns: ['did', 'author', 'recordUri', 'recordCid', 'reason', 'reasonSubject', 'sortAt'],
  },
} as const;

/** Every table to which rows are copied. */
export type PackedTable = TableName | keyof typeof others;

type Columns = Pick<TableSpec, 'columns' | 'jsonb' | 'subject'>;

const columns: Record<PackedTable, Columns> = { ...tables, ...others };

/** The columns that are written to a table, in the order of a row's values, and what is said of some of them. */
export function columnsOf(table: PackedTable): Columns {
  return columns[table];
}
