-- The summary follows from the state; it was written with each update.
ALTER TABLE runs DROP COLUMN summary;
