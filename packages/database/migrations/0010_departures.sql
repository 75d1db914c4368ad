-- Accounts that an account event says are deleted. First their PDS is asked; then what they wrote is removed piece by
-- piece; that they are gone is remembered here.
--
--   said ──► confirmed ──► purged        an account event that is newer than `said_at` ends it anywhere
--    └──► refuted (the row goes)
CREATE TABLE headwater.departure (
  did text COLLATE "C" PRIMARY KEY,
  -- The time of the account event.
  said_at timestamptz NOT NULL,
  -- When it is to be looked at next; null when there is nothing left to do.
  due timestamptz,
  tries integer NOT NULL DEFAULT 0,
  confirmed_at timestamptz,
  purged_at timestamptz,
  -- Records removed.
  records bigint NOT NULL DEFAULT 0
);
CREATE INDEX departure_due_idx ON headwater.departure (due) WHERE due IS NOT NULL;

-- A repo that is `deleted` takes no events: what is still on its way stays out.
--
--   any state ──► deleted ──account active again──► new
ALTER TABLE headwater.repo DROP CONSTRAINT repo_state_check;
ALTER TABLE headwater.repo ADD CONSTRAINT repo_state_check
  CHECK (state IN ('new', 'fetching', 'sent', 'complete', 'unavailable', 'failed', 'deleted'));
