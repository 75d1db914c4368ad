-- What derivations need to know that the AppView's tables forget. A reply is judged by what was there when it was
-- written: the gate of that moment, the follow of that moment, the parent since deleted. So what was stays here.
-- Moments are written as the AppView's tables write times.

-- The history of posts that were edited or deleted. What is in `post` has a row here only if it is an edit.
CREATE TABLE headwater.post_version (
  uri text COLLATE "C" NOT NULL,
  rev text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('create', 'update', 'delete')),
  -- Where it stands in the order of all things.
  at text COLLATE "C" NOT NULL,
  root text COLLATE "C",
  parent text COLLATE "C",
  -- DIDs that it mentioned.
  mentions text[] NOT NULL DEFAULT '{}',
  -- Its invalidReplyRoot.
  invalid boolean NOT NULL DEFAULT false,
  PRIMARY KEY (uri, rev)
);
CREATE INDEX post_version_parent_idx ON headwater.post_version (parent, at) WHERE parent IS NOT NULL;
CREATE INDEX post_version_edit_idx ON headwater.post_version (root, at) WHERE kind = 'update' AND root IS NOT NULL;

-- Quotes that lost their row in `quote` when their subject ended: a gate that comes late still concerns them.
CREATE TABLE headwater.lost_quote (
  subject text COLLATE "C" NOT NULL,
  uri text COLLATE "C" NOT NULL,
  PRIMARY KEY (subject, uri)
);

-- Every version of every thread gate and post gate, the present one included; json is null for its deletion.
CREATE TABLE headwater.gate (
  uri text COLLATE "C" NOT NULL,
  rev text COLLATE "C" NOT NULL,
  at text COLLATE "C" NOT NULL,
  json text,
  PRIMARY KEY (uri, rev)
);

-- Follows, list items and list opt-outs that are gone: who was in that relation to what, from when until when.
CREATE TABLE headwater.past_pair (
  kind text COLLATE "C" NOT NULL CHECK (kind IN ('follow', 'list_item', 'reference_list_opt_out')),
  a text COLLATE "C" NOT NULL,
  b text COLLATE "C" NOT NULL,
  uri text COLLATE "C" NOT NULL,
  since text COLLATE "C" NOT NULL,
  until text COLLATE "C" NOT NULL,
  PRIMARY KEY (kind, a, b, uri)
);

-- Replies whose verdict depends on a follow or a list: `of` is the thread's owner or the list, `replier` who wrote it.
CREATE TABLE headwater.gated_reply (
  of text COLLATE "C" NOT NULL,
  replier text COLLATE "C" NOT NULL,
  uri text COLLATE "C" NOT NULL,
  PRIMARY KEY (of, replier, uri)
);

-- A gate that comes after the replies under it has to find them. The AppView has no use for this index.
CREATE INDEX post_reply_root_idx ON post ("replyRoot", "sortAt") WHERE "replyRoot" IS NOT NULL;
