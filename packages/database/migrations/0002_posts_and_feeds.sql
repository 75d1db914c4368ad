-- Posts, what is embedded in them, what refers to them, and the feeds made of them.

CREATE TABLE post (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  text varchar NOT NULL,
  "replyRoot" varchar,
  "replyRootCid" varchar,
  "replyParent" varchar,
  "replyParentCid" varchar,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  "sortAt" varchar GENERATED ALWAYS AS (least("createdAt", "indexedAt")) STORED NOT NULL,
  langs jsonb,
  "invalidReplyRoot" boolean,
  "violatesThreadGate" boolean,
  tags jsonb,
  "violatesEmbeddingRules" boolean,
  "hasThreadGate" boolean,
  "hasPostGate" boolean
);
CREATE INDEX post_creator_cursor_idx ON post (creator, "sortAt", cid);
CREATE INDEX post_order_by_idx ON post ("sortAt", cid);
CREATE INDEX post_replyparent_idx ON post ("replyParent") INCLUDE (uri);

CREATE TABLE post_agg (
  uri varchar PRIMARY KEY,
  "likeCount" bigint DEFAULT 0 NOT NULL,
  "replyCount" bigint DEFAULT 0 NOT NULL,
  "repostCount" bigint DEFAULT 0 NOT NULL,
  "quoteCount" bigint DEFAULT 0 NOT NULL,
  "bookmarkCount" bigint DEFAULT 0 NOT NULL
);

CREATE TABLE post_embed_image (
  "postUri" varchar NOT NULL,
  "position" varchar NOT NULL,
  "imageCid" varchar NOT NULL,
  alt varchar NOT NULL,
  PRIMARY KEY ("postUri", "position")
);

CREATE TABLE post_embed_gallery_image (
  "postUri" varchar NOT NULL,
  "position" varchar NOT NULL,
  "imageCid" varchar NOT NULL,
  alt varchar NOT NULL,
  PRIMARY KEY ("postUri", "position")
);

CREATE TABLE post_embed_video (
  "postUri" varchar PRIMARY KEY,
  "videoCid" varchar NOT NULL,
  alt varchar
);

CREATE TABLE post_embed_external (
  "postUri" varchar PRIMARY KEY,
  uri varchar NOT NULL,
  title varchar NOT NULL,
  description varchar NOT NULL,
  "thumbCid" varchar
);

CREATE TABLE post_embed_record (
  "postUri" varchar NOT NULL,
  "embedUri" varchar NOT NULL,
  "embedCid" varchar NOT NULL,
  PRIMARY KEY ("postUri", "embedUri")
);

CREATE TABLE post_gate (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  "postUri" varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  CONSTRAINT "post_gate_postUri_key" UNIQUE ("postUri")
);

CREATE TABLE thread_gate (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  "postUri" varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  CONSTRAINT "thread_gate_postUri_key" UNIQUE ("postUri")
);

CREATE TABLE op_thread_reply (
  "rootUri" varchar NOT NULL,
  "parentUri" varchar NOT NULL,
  uri varchar NOT NULL,
  "deletedAt" varchar,
  PRIMARY KEY ("rootUri", uri)
);

CREATE TABLE quote (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  subject varchar NOT NULL,
  "subjectCid" varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  "sortAt" varchar GENERATED ALWAYS AS (least("createdAt", "indexedAt")) STORED NOT NULL
);
CREATE INDEX quote_subject_cursor_idx ON quote (subject, "sortAt", cid);

CREATE TABLE "like" (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  subject varchar NOT NULL,
  "subjectCid" varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  "sortAt" varchar GENERATED ALWAYS AS (least("createdAt", "indexedAt")) STORED NOT NULL,
  via varchar,
  "viaCid" varchar,
  CONSTRAINT like_unique_subject UNIQUE (subject, creator)
);
CREATE INDEX like_creator_cursor_idx ON "like" (creator, "sortAt", cid);
CREATE INDEX like_subject_sort_at_creator_idx ON "like" (subject, "sortAt" DESC) INCLUDE (creator);

CREATE TABLE repost (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  subject varchar NOT NULL,
  "subjectCid" varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  "sortAt" varchar GENERATED ALWAYS AS (least("createdAt", "indexedAt")) STORED NOT NULL,
  via varchar,
  "viaCid" varchar,
  CONSTRAINT repost_unique_subject UNIQUE (creator, subject)
);
CREATE INDEX repost_order_by_idx ON repost ("sortAt", cid);
CREATE INDEX repost_subject_idx ON repost (subject);

CREATE TABLE feed_item (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  type varchar NOT NULL,
  "postUri" varchar NOT NULL,
  "originatorDid" varchar NOT NULL,
  "sortAt" varchar NOT NULL
);
CREATE INDEX feed_item_cursor_idx ON feed_item ("sortAt", cid);
CREATE INDEX feed_item_originator_cursor_idx ON feed_item ("originatorDid", "sortAt", cid);
CREATE INDEX feed_item_post_uri_idx ON feed_item ("postUri");

CREATE TABLE feed_generator (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  "feedDid" varchar NOT NULL,
  "displayName" varchar,
  description varchar,
  "descriptionFacets" varchar,
  "avatarCid" varchar,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  "sortAt" varchar GENERATED ALWAYS AS (least("createdAt", "indexedAt")) STORED NOT NULL
);
CREATE INDEX feed_generator_creator_index ON feed_generator (creator);
