-- Handles that were looked at longest ago are looked at again (see handles.ts); accounts without one are in handle_due.
CREATE INDEX actor_handle_age_idx ON actor ("indexedAt") WHERE handle IS NOT NULL;
