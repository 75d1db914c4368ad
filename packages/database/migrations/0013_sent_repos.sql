-- Repos whose parts are on their way: no more than the stream holds, and looked at again and again (see upkeep.ts).
-- Not by updated_at: a column of an index that every commit changes would make each of these updates a costly one.
CREATE INDEX repo_sent_idx ON headwater.repo (did) WHERE state = 'sent';
