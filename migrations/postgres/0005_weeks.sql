-- no-transaction
-- The log in parts, one for each week, so that an old week goes as a whole (see `[retention]`) and what is written now
-- has small indexes. The part of an event is chosen by the id of its run, which begins with the time at which the run was
-- accepted (UUID version 7): so all events of a run lie in one part, whenever they happened, and a lookup by run finds it
-- by the id alone. A week, because years are dozens of parts then: a statement that is planned once locks all of them.
--
--   kbase_log_first     what was there before this migration, and ids without a time: everything below its bound
--   kbase_log_20261130  the runs of the week that begins on that Monday (UTC)
--   kbase_log_default   whatever no other part takes, so that an insertion never fails
--
-- Steps of their own, so that what takes long locks nothing, and each can be repeated. Builds that know the fourth
-- migration only work on meanwhile and afterwards.

-- The newest diagnosis of a website is found through its runs: the log has an index for each part, and to ask all of them
-- would cost more with every week. The second one has only runs that are being tried again, which are few.
-- Writing waits while these are built (seconds for each million runs).
CREATE INDEX IF NOT EXISTS runs_settled_of_a_website ON runs (website_id, settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS runs_reopened ON runs (website_id) WHERE settled_at IS NULL AND revision > 1;
COMMIT;

-- Where a run of this time lies among ids: as their first 48 bits in hexadecimal digits.
CREATE OR REPLACE FUNCTION kbase_log_bound(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT lpad(to_hex(floor(extract(epoch FROM at) * 1000)::bigint), 12, '0')
$$;
COMMIT;

-- That all rows are below a bound must be known when the table becomes a part, or it would be read under a lock then. The
-- bound is more than a week ahead, so that nothing that is written meanwhile is refused, even if this is interrupted.
DO $$
DECLARE
    bound text := kbase_log_bound((date_trunc('week', now() AT TIME ZONE 'UTC') + interval '14 days') AT TIME ZONE 'UTC');
BEGIN
    IF (SELECT relkind = 'r' FROM pg_class WHERE oid = 'kbase_log'::regclass)
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'kbase_log_first_bound')
        AND EXISTS (SELECT FROM kbase_log) AND NOT EXISTS (SELECT FROM kbase_log WHERE run_id >= bound)
    THEN
        EXECUTE format('ALTER TABLE kbase_log ADD CONSTRAINT kbase_log_first_bound CHECK (run_id < %L) NOT VALID', bound);
    END IF;
END
$$;
COMMIT;
-- reads the table once; others read and write it meanwhile
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'kbase_log_first_bound') THEN
        ALTER TABLE kbase_log VALIDATE CONSTRAINT kbase_log_first_bound;
    END IF;
END
$$;
COMMIT;

-- The exchange: no row is copied, except those with ids from a far future, if there are any.
BEGIN;
DO $$
DECLARE
    bound text;
BEGIN
    IF (SELECT relkind <> 'r' FROM pg_class WHERE oid = 'kbase_log'::regclass) THEN
        RETURN;
    END IF;
    LOCK TABLE kbase_log IN ACCESS EXCLUSIVE MODE;
    SELECT substring(pg_get_constraintdef(oid) FROM '''([0-9a-f]{12})''') INTO bound
    FROM pg_constraint WHERE conname = 'kbase_log_first_bound';
    IF bound IS NULL THEN
        -- a new database has its first week at once
        bound := kbase_log_bound((date_trunc('week', now() AT TIME ZONE 'UTC')
            + CASE WHEN EXISTS (SELECT FROM kbase_log) THEN interval '14 days' ELSE interval '0' END) AT TIME ZONE 'UTC');
    END IF;
    ALTER TABLE kbase_log RENAME TO kbase_log_first;
    ALTER INDEX kbase_log_pkey RENAME TO kbase_log_first_pkey;
    ALTER INDEX kbase_log_of_a_website RENAME TO kbase_log_first_of_a_website;
    ALTER INDEX kbase_log_created_at RENAME TO kbase_log_first_created_at;
    CREATE TABLE kbase_log (
        run_id     text COLLATE "C" NOT NULL,
        -- numbers of the first and the last event
        first_seq  bigint           NOT NULL,
        last_seq   bigint           NOT NULL,
        website_id text COLLATE "C" NOT NULL,
        created_at timestamptz(3)   NOT NULL,
        -- whether one of the events is a diagnosis
        diagnosed  boolean          NOT NULL,
        -- [service, type] of each event, and its payload, in order
        heads      json             NOT NULL,
        payloads   json             NOT NULL,
        -- the names that they have in the fourth migration, so that its table fits
        CONSTRAINT kbase_log_first_seq_check CHECK (first_seq >= 1),
        CONSTRAINT kbase_log_check CHECK (last_seq >= first_seq),
        PRIMARY KEY (run_id, first_seq)
    ) PARTITION BY RANGE (run_id);
    CREATE INDEX kbase_log_of_a_website ON kbase_log (website_id, created_at);
    CREATE INDEX kbase_log_created_at ON kbase_log (created_at);
    CREATE TABLE kbase_log_default PARTITION OF kbase_log DEFAULT WITH (
        autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_freeze_min_age = 0, autovacuum_analyze_scale_factor = 0.02
    );
    WITH beyond AS (DELETE FROM kbase_log_first WHERE run_id >= bound RETURNING *)
    INSERT INTO kbase_log_default SELECT * FROM beyond;
    EXECUTE format('ALTER TABLE kbase_log ATTACH PARTITION kbase_log_first FOR VALUES FROM (MINVALUE) TO (%L)', bound);
    ALTER TABLE kbase_log_first DROP CONSTRAINT IF EXISTS kbase_log_first_bound;
END
$$;

-- As before, over the new table.
CREATE OR REPLACE VIEW kbase_events AS
SELECT 'evt_' || run_id || '_' || (first_seq + place - 1) AS event_id, website_id, run_id, first_seq + place - 1 AS seq,
       (head ->> 0) COLLATE "C" AS service, (head ->> 1) COLLATE "C" AS type, payload,
       (created_at + least(first_seq + place - 1, 999) * interval '1 microsecond')::timestamptz(6) AS created_at
FROM kbase_log
CROSS JOIN LATERAL ROWS FROM (json_array_elements(heads), json_array_elements(payloads))
    WITH ORDINALITY AS event (head, payload, place);

-- Makes the parts for the weeks from `since` to `until` that are not there yet, and gives their names. It can be repeated
-- at any time, and by several at once. Rows of such a week that went into the default part move.
CREATE OR REPLACE FUNCTION kbase_log_add_weeks(since timestamptz, until timestamptz) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    week      timestamp;
    name      text;
    lower     text;
    upper     text;
    first_end text := (SELECT substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''([0-9a-f]+)''\)')
                       FROM pg_class WHERE oid = to_regclass('kbase_log_first'));
    is_alone  boolean := false;
BEGIN
    FOR week IN SELECT generate_series(date_trunc('week', since AT TIME ZONE 'UTC'), until AT TIME ZONE 'UTC', interval '7 days')
    LOOP
        name := 'kbase_log_' || to_char(week, 'YYYYMMDD');
        lower := kbase_log_bound(week AT TIME ZONE 'UTC');
        upper := kbase_log_bound((week + interval '7 days') AT TIME ZONE 'UTC');
        CONTINUE WHEN lower COLLATE "C" < first_end OR to_regclass(name) IS NOT NULL;
        IF NOT is_alone THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('hermes: parts of kbase_log', 0));
            -- the order in which statements lock them; from here on nothing new comes into the default part
            LOCK TABLE ONLY kbase_log IN SHARE UPDATE EXCLUSIVE MODE;
            LOCK TABLE kbase_log_default IN ACCESS EXCLUSIVE MODE;
            is_alone := true;
            CONTINUE WHEN to_regclass(name) IS NOT NULL;
        END IF;
        EXECUTE format(
            'CREATE TABLE %I (LIKE kbase_log INCLUDING CONSTRAINTS) WITH (autovacuum_vacuum_insert_scale_factor = 0.05,
                 autovacuum_freeze_min_age = 0, autovacuum_analyze_scale_factor = 0.02)', name);
        -- see the first migration
        BEGIN
            EXECUTE format('ALTER TABLE %I ALTER COLUMN payloads SET COMPRESSION lz4', name);
        EXCEPTION WHEN feature_not_supported THEN
            NULL;
        END;
        EXECUTE format(
            'WITH moved AS (DELETE FROM kbase_log_default WHERE run_id >= %L AND run_id < %L RETURNING *)
             INSERT INTO %I SELECT * FROM moved', lower, upper, name);
        EXECUTE format('ALTER TABLE kbase_log ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, lower, upper);
        RETURN NEXT name;
    END LOOP;
END
$$;
SELECT kbase_log_add_weeks(now(), now() + interval '4 weeks');
COMMIT;

-- See the first migration.
DO $$
BEGIN
    ALTER TABLE kbase_log_default ALTER COLUMN payloads SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
