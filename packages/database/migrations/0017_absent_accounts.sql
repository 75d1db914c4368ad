-- The look (its beginning) of the newest whole list that named the repo. Kept only where a list is made because events
-- were missed (see absent.ts).
ALTER TABLE headwater.repo ADD COLUMN listed_at timestamptz;

-- Nobody has announced this departure: the account's PDS does not know it any more. Nothing is hidden before the PDS
-- has said so a second time.
ALTER TABLE headwater.departure ADD COLUMN suspected boolean NOT NULL DEFAULT false;
