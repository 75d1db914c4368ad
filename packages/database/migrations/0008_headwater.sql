-- Headwater's own state: what it knows of every repo, and what a version rule must not forget.
-- Nothing here is read by the AppView.

-- One row for each repo seen. Its row lock is the one right to change that repo's rows anywhere.
--
--   new ──► fetching ──► sent ──► complete          a newer fetch starts again at `fetching`
--    └──────────┴──────────┴─────────┴──► unavailable | failed
CREATE TABLE headwater.repo (
  did text COLLATE "C" PRIMARY KEY,
  state text NOT NULL DEFAULT 'new'
    CHECK (state IN ('new', 'fetching', 'sent', 'complete', 'unavailable', 'failed')),
  -- Why it is unavailable or failed.
  reason text,
  -- The newest whole fetch: its rev, its name, the parts of it that are applied.
  floor text COLLATE "C",
  fetch_id text,
  parts integer,
  parts_done int4multirange NOT NULL DEFAULT '{}',
  -- Nothing was written for this repo but by parts of the fetch named here.
  fresh boolean NOT NULL DEFAULT true,
  -- What the last part of the fetch states, until all others are applied.
  fetch_commit text,
  fetch_data text,
  -- Newest live commit applied; the rev up to which the history is known without a gap; its MST root.
  live_rev text COLLATE "C",
  head text COLLATE "C",
  head_data text,
  -- Runs of live commits above the head whose predecessor is not here (yet).
  links jsonb,
  -- Since when a gap is suspected, why, and when a fetch was asked for because of it.
  gap_at timestamptz,
  gap_reason text,
  asked_at timestamptz,
  -- The newest account event: null while none was seen.
  account_status text,
  account_time timestamptz,
  -- An actor row was made.
  actor boolean NOT NULL DEFAULT false,
  first_seen timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 75);
CREATE INDEX repo_gap_idx ON headwater.repo (gap_at) WHERE gap_at IS NOT NULL;

-- Records that a live commit deleted, until a whole fetch at or above that rev makes the memory needless.
CREATE TABLE headwater.tombstone (
  did text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL,
  rev text COLLATE "C" NOT NULL,
  PRIMARY KEY (did, path)
);

-- Samples of records that were not indexed: at most one a slot, so a bounded number for each collection and reason.
CREATE TABLE headwater.refused_record (
  collection text NOT NULL,
  reason text NOT NULL,
  slot smallint NOT NULL,
  uri text NOT NULL,
  rev text NOT NULL,
  detail text NOT NULL,
  json text,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (collection, reason, slot)
);

-- Accounts whose handle should be verified (again).
CREATE TABLE headwater.handle_due (
  did text COLLATE "C" PRIMARY KEY,
  due timestamptz NOT NULL,
  -- An identity event asked for it: what is cached may be old.
  refresh boolean NOT NULL DEFAULT false,
  -- Tries without a verified handle.
  tries integer NOT NULL DEFAULT 0
);
CREATE INDEX handle_due_due_idx ON headwater.handle_due (due);
