-- Room in every page of posts: a reply that comes before its parent has its flags changed when the parent comes, and a
-- row that stays in its page needs no new entries in six indexes.
ALTER TABLE post SET (fillfactor = 90);
