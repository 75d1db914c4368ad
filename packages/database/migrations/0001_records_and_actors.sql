-- Records, accounts and what is known of their repos.
--
-- The tables of files 0001 to 0006 are those that the AppView's data plane (@atproto/bsky) reads; names, types
-- and indexes follow it. What differs on purpose is marked MEANT and named in schema.test.ts.
-- `sortAt` is the earlier of createdAt and indexedAt throughout.
-- search_path is the AppView's schema, then public.

CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

CREATE TABLE record (
  -- MEANT: C collation, so that a repo's rows are one range of the key, in the order of its tree.
  uri varchar COLLATE "C" PRIMARY KEY,
  cid varchar NOT NULL,
  did varchar NOT NULL,
  json text NOT NULL,
  "indexedAt" varchar NOT NULL,
  "takedownRef" varchar,
  tags jsonb,
  -- MEANT: the rev of the commit that wrote this version; empty when another indexer wrote it.
  rev varchar COLLATE "C" DEFAULT '' NOT NULL
);
CREATE INDEX record_did_idx ON record (did);

CREATE TABLE duplicate_record (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  "duplicateOf" varchar NOT NULL,
  "indexedAt" varchar NOT NULL
);
CREATE INDEX duplicate_record_duplicate_of_idx ON duplicate_record ("duplicateOf");

CREATE TABLE actor (
  did varchar PRIMARY KEY,
  handle varchar,
  "indexedAt" varchar NOT NULL,
  "takedownRef" varchar,
  "upstreamStatus" varchar,
  "trustedVerifier" boolean DEFAULT false NOT NULL,
  "ageAssuranceStatus" text,
  "ageAssuranceLastInitiatedAt" varchar,
  "ageAssuranceAccess" text,
  "ageAssuranceCountryCode" text,
  "ageAssuranceRegionCode" text,
  CONSTRAINT actor_handle_key UNIQUE (handle)
);
CREATE INDEX actor_handle_tgrm_idx ON actor USING gist (handle gist_trgm_ops);

CREATE TABLE actor_sync (
  did varchar PRIMARY KEY,
  "commitCid" varchar NOT NULL,
  "repoRev" varchar
);

CREATE TABLE actor_state (
  did varchar PRIMARY KEY,
  "lastSeenNotifs" varchar NOT NULL,
  "priorityNotifs" boolean DEFAULT false NOT NULL
);

CREATE TABLE profile (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  "displayName" varchar,
  description varchar,
  "avatarCid" varchar,
  "bannerCid" varchar,
  "indexedAt" varchar NOT NULL,
  "joinedViaStarterPackUri" varchar,
  "createdAt" varchar NOT NULL,
  "pinnedPost" varchar,
  "pinnedPostCid" varchar
);
CREATE INDEX profile_creator_idx ON profile (creator);
CREATE INDEX profile_display_name_tgrm_idx ON profile USING gist ("displayName" gist_trgm_ops);
CREATE INDEX profile_starter_pack_joined_idx ON profile ("joinedViaStarterPackUri", "createdAt");

CREATE TABLE profile_agg (
  did varchar PRIMARY KEY,
  "followersCount" bigint DEFAULT 0 NOT NULL,
  "followsCount" bigint DEFAULT 0 NOT NULL,
  "postsCount" bigint DEFAULT 0 NOT NULL
);

CREATE TABLE labeler (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  creator varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  "sortAt" varchar GENERATED ALWAYS AS (least("createdAt", "indexedAt")) STORED NOT NULL
);
CREATE INDEX labeler_order_by_idx ON labeler ("sortAt", cid);

CREATE TABLE verification (
  uri varchar PRIMARY KEY,
  cid varchar NOT NULL,
  rkey varchar NOT NULL,
  creator varchar NOT NULL,
  subject varchar NOT NULL,
  handle varchar NOT NULL,
  "displayName" varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  "sortedAt" varchar GENERATED ALWAYS AS (least("createdAt", "indexedAt")) STORED NOT NULL,
  CONSTRAINT verification_unique_subject_creator UNIQUE (subject, creator)
);

CREATE TABLE did_cache (
  did varchar PRIMARY KEY,
  doc jsonb NOT NULL,
  "updatedAt" bigint NOT NULL
);
