-- An open run is written two to five times in its first moments. Postgres then writes no index anew (a HOT update) as
-- long as no indexed column has changed; so the status of an open run is in no index any more.

-- The list's status filter: settled runs by this column, open ones are few.
ALTER TABLE runs ADD COLUMN settled_status text COLLATE "C"
    GENERATED ALWAYS AS (CASE WHEN settled_at IS NULL THEN NULL ELSE status END) STORED;
DROP INDEX runs_status;
CREATE INDEX runs_settled_status ON runs (settled_status, run_id) WHERE settled_status IS NOT NULL;

-- Rows lie in the order in which they came: an index of a few pages finds a span of time.
DROP INDEX runs_created_at;
CREATE INDEX runs_created_at ON runs USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

-- The summary follows from the state; it was written, and checked as JSON, with each update. Older builds still write
-- the column, and until they are gone their lists cannot show what newer ones wrote; a later migration drops it.
ALTER TABLE runs ALTER COLUMN summary DROP NOT NULL;

-- Ends a statement that would write a run over a version that is not there any more: everything or nothing.
CREATE FUNCTION refuse_stale_run(run_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'HR409', MESSAGE = run_id;
END
$$;
