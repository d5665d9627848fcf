-- What happens to a run in one transition is written in one row: a row and its index entries are what a write costs.
-- `kbase_events` is a view of the same columns as before, one row per event.

ALTER TABLE kbase_events RENAME TO kbase_events_by_row;

-- Rows refer to runs without a foreign key: the check is a query per row, and the audit finds events without their run.
CREATE TABLE kbase_log (
    run_id     TEXT    NOT NULL,
    -- numbers of the first and the last event
    first_seq  INTEGER NOT NULL CHECK (first_seq >= 1),
    last_seq   INTEGER NOT NULL CHECK (last_seq >= first_seq),
    website_id TEXT    NOT NULL,
    created_at TEXT    NOT NULL CHECK (length(created_at) = 24),
    -- whether one of the events is a diagnosis
    diagnosed  INTEGER NOT NULL CHECK (diagnosed IN (0, 1)),
    -- [service, type, start, length] of each event; the last two say which bytes of `payloads` are its payload, counted
    -- from 1, so that the view gives the text as it came
    heads      TEXT    NOT NULL,
    -- the payloads, in order, as one JSON array
    payloads   TEXT    NOT NULL,
    PRIMARY KEY (run_id, first_seq)
) STRICT;

INSERT INTO kbase_log (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
SELECT run_id, seq, seq, website_id, substr(created_at, 1, 23) || 'Z', service = 'hermes' AND type = 'diagnosis',
       json_array(json_array(service, type, 2, length(CAST(payload AS BLOB)))), '[' || payload || ']'
FROM kbase_events_by_row ORDER BY rowid;
DROP TABLE kbase_events_by_row;

CREATE INDEX kbase_log_of_a_website ON kbase_log (website_id, created_at, diagnosed);
CREATE INDEX kbase_log_created_at ON kbase_log (created_at);

-- The last six of the nine fractional digits of `created_at` are the event's number, so that ordering by `created_at`
-- gives the order of the log even within a millisecond.
CREATE VIEW kbase_events AS
SELECT 'evt_' || run_id || '_' || (first_seq + head.key) AS event_id, website_id, run_id,
       CAST(first_seq + head.key AS INTEGER) AS seq, head.value ->> 0 AS service, head.value ->> 1 AS type,
       CAST(substr(CAST(payloads AS BLOB), head.value ->> 2, head.value ->> 3) AS TEXT) AS payload,
       substr(created_at, 1, 23) || printf('%06d', min(first_seq + head.key, 999999)) || 'Z' AS created_at
FROM kbase_log, json_each(heads) AS head;

-- The view can be written, for repairs by hand: the events of the row in question then get a row each.
CREATE TRIGGER kbase_events_insert INSTEAD OF INSERT ON kbase_events BEGIN
    SELECT RAISE(ABORT, 'UNIQUE constraint failed: kbase_events.run_id, kbase_events.seq')
    WHERE EXISTS (SELECT 1 FROM kbase_log WHERE run_id = NEW.run_id AND NEW.seq BETWEEN first_seq AND last_seq);
    INSERT INTO kbase_log (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
    VALUES (NEW.run_id, NEW.seq, NEW.seq, NEW.website_id, substr(NEW.created_at, 1, 23) || 'Z',
            NEW.service = 'hermes' AND NEW.type = 'diagnosis',
            json_array(json_array(NEW.service, NEW.type, 2, length(CAST(NEW.payload AS BLOB)))),
            '[' || NEW.payload || ']');
END;
CREATE TRIGGER kbase_events_delete INSTEAD OF DELETE ON kbase_events BEGIN
    INSERT OR REPLACE INTO kbase_log
        (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
    SELECT run_id, first_seq + head.key, first_seq + head.key, website_id, created_at,
           head.value ->> 0 = 'hermes' AND head.value ->> 1 = 'diagnosis',
           json_array(json_array(head.value ->> 0, head.value ->> 1, 2, head.value ->> 3)),
           '[' || CAST(substr(CAST(payloads AS BLOB), head.value ->> 2, head.value ->> 3) AS TEXT) || ']'
    FROM kbase_log, json_each(heads) AS head
    WHERE run_id = OLD.run_id AND first_seq < last_seq AND OLD.seq BETWEEN first_seq AND last_seq;
    DELETE FROM kbase_log WHERE run_id = OLD.run_id AND first_seq = OLD.seq;
END;
CREATE TRIGGER kbase_events_update INSTEAD OF UPDATE ON kbase_events BEGIN
    DELETE FROM kbase_events WHERE run_id = OLD.run_id AND seq = OLD.seq;
    INSERT INTO kbase_events (website_id, run_id, seq, service, type, payload, created_at)
    VALUES (NEW.website_id, NEW.run_id, NEW.seq, NEW.service, NEW.type, NEW.payload, NEW.created_at);
END;

-- What changes while a run is open is in as few indexes as can be. The list's status filter: settled runs by this one,
-- open ones are few.
DROP INDEX runs_status;
CREATE INDEX runs_settled_status ON runs (status, run_id) WHERE settled_at IS NOT NULL;
