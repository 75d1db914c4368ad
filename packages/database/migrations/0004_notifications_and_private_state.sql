-- Notifications, and what an AppView keeps for its users that comes from no repo.

CREATE TABLE notification (
  id bigserial PRIMARY KEY,
  did varchar NOT NULL,
  "recordUri" varchar NOT NULL,
  "recordCid" varchar NOT NULL,
  author varchar NOT NULL,
  reason varchar NOT NULL,
  "reasonSubject" varchar,
  "sortAt" varchar NOT NULL
);
CREATE INDEX notification_author_idx ON notification (author);
CREATE INDEX notification_did_sortat_idx ON notification (did, "sortAt");
CREATE INDEX notification_record_idx ON notification ("recordUri");

CREATE TABLE notification_push_token (
  did varchar NOT NULL,
  platform varchar NOT NULL,
  token varchar NOT NULL,
  "appId" varchar NOT NULL,
  PRIMARY KEY (did, token)
);

CREATE TABLE activity_subscription (
  creator varchar NOT NULL,
  "subjectDid" varchar NOT NULL,
  key varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  post boolean NOT NULL,
  reply boolean NOT NULL,
  PRIMARY KEY (creator, key),
  CONSTRAINT activity_subscription_unique_creator_subject_did UNIQUE (creator, "subjectDid")
);

CREATE TABLE bookmark (
  creator varchar NOT NULL,
  key varchar NOT NULL,
  "subjectUri" varchar NOT NULL,
  "subjectCid" varchar NOT NULL,
  "indexedAt" varchar NOT NULL,
  PRIMARY KEY (creator, key),
  CONSTRAINT bookmark_unique_uri_creator UNIQUE ("subjectUri", creator)
);

CREATE TABLE draft (
  creator varchar NOT NULL,
  key varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  "updatedAt" varchar NOT NULL,
  payload text NOT NULL,
  PRIMARY KEY (creator, key)
);
CREATE INDEX draft_creator_updated_at_key_idx ON draft (creator, "updatedAt", key);

CREATE TABLE private_data (
  "actorDid" varchar NOT NULL,
  namespace varchar NOT NULL,
  key varchar NOT NULL,
  payload text NOT NULL,
  "indexedAt" varchar NOT NULL,
  "updatedAt" varchar NOT NULL,
  PRIMARY KEY ("actorDid", namespace, key)
);
