-- Labels, takedowns, and the moderation tables that the AppView declares and never reads.

CREATE TABLE label (
  src varchar NOT NULL,
  uri varchar NOT NULL,
  cid varchar NOT NULL,
  val varchar NOT NULL,
  neg boolean NOT NULL,
  cts varchar NOT NULL,
  exp varchar,
  PRIMARY KEY (src, uri, cid, val)
);
CREATE INDEX label_cts_idx ON label (cts);
CREATE INDEX label_uri_index ON label (uri);

CREATE TABLE blob_takedown (
  did varchar NOT NULL,
  cid varchar NOT NULL,
  "takedownRef" varchar NOT NULL,
  PRIMARY KEY (did, cid)
);

CREATE TABLE moderation_action (
  id serial PRIMARY KEY,
  action varchar NOT NULL,
  "subjectType" varchar NOT NULL,
  "subjectDid" varchar NOT NULL,
  "subjectUri" varchar,
  "subjectCid" varchar,
  reason text NOT NULL,
  "createdAt" varchar NOT NULL,
  "createdBy" varchar NOT NULL,
  "reversedAt" varchar,
  "reversedBy" varchar,
  "reversedReason" text,
  "createLabelVals" varchar,
  "negateLabelVals" varchar,
  "durationInHours" integer,
  "expiresAt" varchar
);

CREATE TABLE moderation_action_subject_blob (
  "actionId" integer NOT NULL,
  cid varchar NOT NULL,
  PRIMARY KEY ("actionId", cid),
  CONSTRAINT "moderation_action_subject_blob_actionId_fkey" FOREIGN KEY ("actionId") REFERENCES moderation_action(id)
);
CREATE INDEX moderation_action_subject_blob_cid_idx ON moderation_action_subject_blob (cid);

CREATE TABLE moderation_event (
  id serial PRIMARY KEY,
  action varchar NOT NULL,
  "subjectType" varchar NOT NULL,
  "subjectDid" varchar NOT NULL,
  "subjectUri" varchar,
  "subjectCid" varchar,
  comment text,
  meta jsonb,
  "createdAt" varchar NOT NULL,
  "createdBy" varchar NOT NULL,
  "reversedAt" varchar,
  "reversedBy" varchar,
  "durationInHours" integer,
  "expiresAt" varchar,
  "reversedReason" text,
  "createLabelVals" varchar,
  "negateLabelVals" varchar,
  "legacyRefId" integer
);

CREATE TABLE moderation_report (
  id serial PRIMARY KEY,
  "subjectType" varchar NOT NULL,
  "subjectDid" varchar NOT NULL,
  "subjectUri" varchar,
  "subjectCid" varchar,
  "reasonType" varchar NOT NULL,
  reason text,
  "reportedByDid" varchar NOT NULL,
  "createdAt" varchar NOT NULL
);

CREATE TABLE moderation_report_resolution (
  "reportId" integer NOT NULL,
  "actionId" integer NOT NULL,
  "createdBy" varchar NOT NULL,
  "createdAt" varchar NOT NULL,
  PRIMARY KEY ("reportId", "actionId"),
  CONSTRAINT "moderation_report_resolution_actionId_fkey" FOREIGN KEY ("actionId") REFERENCES moderation_action(id),
  CONSTRAINT "moderation_report_resolution_reportId_fkey" FOREIGN KEY ("reportId") REFERENCES moderation_report(id)
);
CREATE INDEX moderation_report_resolution_action_id_idx ON moderation_report_resolution ("actionId");

CREATE TABLE moderation_subject_status (
  id serial PRIMARY KEY,
  did varchar NOT NULL,
  "recordPath" varchar DEFAULT '' NOT NULL,
  "blobCids" jsonb,
  "recordCid" varchar,
  "reviewState" varchar NOT NULL,
  comment varchar,
  "muteUntil" varchar,
  "lastReviewedAt" varchar,
  "lastReviewedBy" varchar,
  "lastReportedAt" varchar,
  takendown boolean DEFAULT false NOT NULL,
  "suspendUntil" varchar,
  "createdAt" varchar NOT NULL,
  "updatedAt" varchar NOT NULL,
  CONSTRAINT moderation_status_unique_idx UNIQUE (did, "recordPath")
);
CREATE INDEX moderation_subject_status_blob_cids_idx ON moderation_subject_status USING gin ("blobCids");
