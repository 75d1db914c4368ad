-- Bulk mode: the first load of an empty database without what is made faster at its end (see src/bulk).
--
--   off ──start──► loading ──finish──► finishing ──counts are merged──► settling ──► off
--
-- One row. Who writes changes of counts holds it FOR SHARE until the commit and goes by its state: so every such
-- transaction is wholly before or wholly after a change of state.
CREATE TABLE headwater.bulk (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  state text NOT NULL DEFAULT 'off' CHECK (state IN ('off', 'loading', 'finishing', 'settling')),
  started_at timestamptz,
  finishing_at timestamptz,
  finished_at timestamptz
);
INSERT INTO headwater.bulk DEFAULT VALUES;

-- What the present load, or the last one, has put off, and when it was made good.
CREATE TABLE headwater.bulk_step (
  name text PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('index', 'counts')),
  -- The table of the index or of the counts.
  of text NOT NULL,
  -- How the index is made.
  definition text,
  done_at timestamptz
);

-- Changes of counts that came while the rows were counted: in the order of the columns in src/counts.ts.
CREATE TABLE headwater.count_change (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  of text NOT NULL,
  key text COLLATE "C" NOT NULL,
  changes bigint[] NOT NULL
);
