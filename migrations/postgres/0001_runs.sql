-- The truth about runs. Needs Postgres 15 or newer and a database in UTF-8.
--
-- JSON columns are of type json, not jsonb: jsonb refuses \u0000, lone surrogates and huge numbers, all of which
-- workers may send, and one refused row would take its whole batch with it. json keeps the text as it came.
--
-- Identities and names compare bytewise (collation "C"): keyset pages depend on that order.
--
-- Rows refer to each other without foreign keys: their triggers cost a query per event and lock the plan's row for
-- each run. One function writes these tables, and a reader reports a missing row as corruption.

-- What belongs to this database as a whole: one row.
CREATE TABLE instance (
    id           smallint       NOT NULL PRIMARY KEY CHECK (id = 1),
    callback_key bytea          NOT NULL CHECK (octet_length(callback_key) = 32),
    created_at   timestamptz(3) NOT NULL
);

-- Plans by content. A row never changes: a run refers to the very text that it was accepted with.
CREATE TABLE plans (
    hash   text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(hash) = 64),
    frozen text             NOT NULL
);

-- Names of plans: which content an id had, version by version.
CREATE TABLE plan_versions (
    plan_id    text COLLATE "C" NOT NULL,
    version    integer          NOT NULL CHECK (version >= 1),
    hash       text COLLATE "C" NOT NULL,
    created_at timestamptz(3)   NOT NULL,
    PRIMARY KEY (plan_id, version),
    UNIQUE (plan_id, hash)
);

-- One row per run. `state` is the whole of it; the columns beside it are what queries need.
-- A run is updated several times in its first seconds: pages keep room for that, and dead versions go early.
CREATE TABLE runs (
    run_id          text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(run_id) = 32),
    website_id      text COLLATE "C" NOT NULL,
    domain          text COLLATE "C" NOT NULL,
    plan_id         text COLLATE "C" NOT NULL,
    plan_hash       text COLLATE "C" NOT NULL,
    status          text COLLATE "C" NOT NULL
        CHECK (status IN ('started', 'running', 'completed', 'failed', 'timeout', 'cancelled')),
    revision        integer          NOT NULL CHECK (revision >= 1),
    -- number of the run's last event: the fence of every write
    last_seq        bigint           NOT NULL CHECK (last_seq >= 1),
    created_at      timestamptz(3)   NOT NULL,
    started_at      timestamptz(3)   NOT NULL,
    deadline_at     timestamptz(3)   NOT NULL,
    wake_at         timestamptz(3),
    settled_at      timestamptz(3),
    idempotency_key text COLLATE "C",
    request_hash    text COLLATE "C",
    summary         json             NOT NULL,
    state           json             NOT NULL,
    CONSTRAINT a_run_wakes_until_it_settles CHECK ((settled_at IS NULL) = (wake_at IS NOT NULL)),
    CONSTRAINT only_these_statuses_are_open CHECK ((settled_at IS NULL) = (status IN ('started', 'running'))),
    CONSTRAINT a_deadline_is_ahead CHECK (deadline_at > started_at),
    CONSTRAINT a_key_has_a_request CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE UNIQUE INDEX runs_idempotency_key ON runs (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- only open runs are in these two, so history does not slow the engine down
CREATE INDEX runs_wake_at ON runs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX runs_open ON runs (run_id) WHERE wake_at IS NOT NULL;
-- pages of the list, newest first
CREATE INDEX runs_status ON runs (status, run_id);
CREATE INDEX runs_plan_id ON runs (plan_id, run_id);
CREATE INDEX runs_website_id ON runs (website_id, run_id);
CREATE INDEX runs_domain ON runs (domain, run_id);
CREATE INDEX runs_created_at ON runs (created_at);

-- The log: append-only, gapless per run. `created_at` counts in milliseconds; the microseconds below are the event's
-- number (999 from there on), so that ordering by `created_at` gives the order of the log within a millisecond, too.
CREATE TABLE kbase_events (
    event_id   text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('evt_' || run_id || '_' || seq::text) STORED,
    website_id text COLLATE "C" NOT NULL,
    run_id     text COLLATE "C" NOT NULL,
    seq        bigint           NOT NULL CHECK (seq >= 1),
    service    text COLLATE "C" NOT NULL,
    type       text COLLATE "C" NOT NULL,
    payload    json             NOT NULL,
    created_at timestamptz(6)   NOT NULL,
    PRIMARY KEY (run_id, seq)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);

CREATE INDEX kbase_events_of_a_website ON kbase_events (website_id, service, type, created_at);
CREATE INDEX kbase_events_created_at ON kbase_events (created_at);

-- Large JSON is compressed at each write: lz4 does that several times faster, where the server was built with it.
DO $$
BEGIN
    ALTER TABLE runs ALTER COLUMN state SET COMPRESSION lz4;
    ALTER TABLE kbase_events ALTER COLUMN payload SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
