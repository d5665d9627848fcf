-- What happens to a run in one transition is written in one row: a row and its index entries are what a write costs.
-- `kbase_events` is a view of the same columns as before, one row per event.

ALTER TABLE kbase_events RENAME TO kbase_events_by_row;

CREATE TABLE kbase_log (
    run_id     text COLLATE "C" NOT NULL,
    -- numbers of the first and the last event
    first_seq  bigint           NOT NULL CHECK (first_seq >= 1),
    last_seq   bigint           NOT NULL CHECK (last_seq >= first_seq),
    website_id text COLLATE "C" NOT NULL,
    created_at timestamptz(3)   NOT NULL,
    -- whether one of the events is a diagnosis
    diagnosed  boolean          NOT NULL,
    -- [service, type] of each event, and its payload, in order
    heads      json             NOT NULL,
    payloads   json             NOT NULL,
    PRIMARY KEY (run_id, first_seq)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_freeze_min_age = 0, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX kbase_log_of_a_website ON kbase_log (website_id, created_at);
CREATE INDEX kbase_log_created_at ON kbase_log (created_at);

INSERT INTO kbase_log
SELECT run_id, seq, seq, website_id, date_trunc('milliseconds', created_at), service = 'hermes' AND type = 'diagnosis',
       json_build_array(json_build_array(service, type)), ('[' || payload::text || ']')::json
FROM kbase_events_by_row ORDER BY run_id, seq;
DROP TABLE kbase_events_by_row;

-- `created_at` counts in milliseconds; the microseconds below are the event's number (999 from there on), so that
-- ordering by `created_at` gives the order of the log within a millisecond, too.
CREATE VIEW kbase_events AS
SELECT 'evt_' || run_id || '_' || (first_seq + place - 1) AS event_id, website_id, run_id, first_seq + place - 1 AS seq,
       (head ->> 0) COLLATE "C" AS service, (head ->> 1) COLLATE "C" AS type, payload,
       -- of the very type that it was: statements that older builds have prepared go on then
       (created_at + least(first_seq + place - 1, 999) * interval '1 microsecond')::timestamptz(6) AS created_at
FROM kbase_log
CROSS JOIN LATERAL ROWS FROM (json_array_elements(heads), json_array_elements(payloads))
    WITH ORDINALITY AS event (head, payload, place);

-- The view can be written, by builds that know the table only, and for repairs by hand: the events of the row in question
-- then get a row each.
CREATE FUNCTION kbase_events_write() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    batch kbase_log;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM kbase_log WHERE run_id = OLD.run_id AND OLD.seq BETWEEN first_seq AND last_seq RETURNING * INTO batch;
        INSERT INTO kbase_log
        SELECT batch.run_id, batch.first_seq + place - 1, batch.first_seq + place - 1, batch.website_id, batch.created_at,
               head ->> 0 = 'hermes' AND head ->> 1 = 'diagnosis', json_build_array(head), json_build_array(payload)
        FROM ROWS FROM (json_array_elements(batch.heads), json_array_elements(batch.payloads))
            WITH ORDINALITY AS event (head, payload, place)
        WHERE batch.first_seq + place - 1 <> OLD.seq;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    INSERT INTO kbase_log VALUES (
        NEW.run_id, NEW.seq, NEW.seq, NEW.website_id, date_trunc('milliseconds', NEW.created_at),
        NEW.service = 'hermes' AND NEW.type = 'diagnosis',
        json_build_array(json_build_array(NEW.service, NEW.type)), json_build_array(NEW.payload)
    );
    RETURN NEW;
END
$$;
CREATE TRIGGER kbase_events_write INSTEAD OF INSERT OR UPDATE OR DELETE ON kbase_events
    FOR EACH ROW EXECUTE FUNCTION kbase_events_write();

-- See the first migration.
DO $$
BEGIN
    ALTER TABLE kbase_log ALTER COLUMN payloads SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
