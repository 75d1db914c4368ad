-- Posts that were quoted in another version than the one that was there: their quotes are counted by version from
-- then on (see derived/quote-counts.ts). The edit itself need not have been seen.
CREATE TABLE headwater.quoted_versions (uri text COLLATE "C" PRIMARY KEY);
