-- What operators did, by whom and why. Written before the act, so that one that was cut short shows too.
CREATE TABLE headwater.audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  -- Who: the role and how it was shown, or the user of the command.
  actor text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  reason text,
  -- What came of it; null while it is under way, and for ever when it was cut short.
  outcome text
);
CREATE INDEX audit_at_idx ON headwater.audit (at);
