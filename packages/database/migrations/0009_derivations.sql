-- What derivations need to know that the AppView's tables forget. A reply is judged by what was there when it was
-- written: the gate of that moment, the follow of that moment, the parent since deleted. So what was stays here.

-- Deleted posts that others may have replied to.
CREATE TABLE headwater.past_post (
  uri text COLLATE "C" PRIMARY KEY,
  root text COLLATE "C",
  parent text COLLATE "C",
  -- DIDs that its text mentioned.
  mentions text[] NOT NULL DEFAULT '{}',
  -- Its place in the order of all things, and when it was deleted; both as the AppView's tables write times.
  since text COLLATE "C" NOT NULL,
  until text COLLATE "C" NOT NULL,
  invalid boolean NOT NULL DEFAULT false
);
CREATE INDEX past_post_parent_idx ON headwater.past_post (parent) WHERE parent IS NOT NULL;

-- When a post was edited last. Its flags, its OP thread and what others made of it depend on that moment.
CREATE TABLE headwater.post_edit (
  uri text COLLATE "C" PRIMARY KEY,
  at text COLLATE "C" NOT NULL
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
