-- The truth about runs, for the embedded mode. The same tables and the same rules as migrations/postgres.
--
-- Times are RFC 3339 in UTC with a fixed width, so that text order is time order and people can read them.
-- JSON is text and is stored as it came: no function of SQLite rewrites it.

-- What belongs to this database as a whole: one row.
CREATE TABLE instance (
    id           INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    callback_key BLOB    NOT NULL CHECK (length(callback_key) = 32),
    created_at   TEXT    NOT NULL CHECK (length(created_at) = 24)
) STRICT;

-- Plans by content. A row never changes: a run refers to the very text that it was accepted with.
CREATE TABLE plans (
    hash   TEXT NOT NULL PRIMARY KEY CHECK (length(hash) = 64),
    frozen TEXT NOT NULL
) STRICT;

-- Names of plans: which content an id had, version by version.
CREATE TABLE plan_versions (
    plan_id    TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version >= 1),
    hash       TEXT    NOT NULL REFERENCES plans (hash),
    created_at TEXT    NOT NULL CHECK (length(created_at) = 24),
    PRIMARY KEY (plan_id, version),
    UNIQUE (plan_id, hash)
) STRICT, WITHOUT ROWID;

-- One row per run. `state` is the whole of it; the columns beside it are what queries need.
CREATE TABLE runs (
    run_id          TEXT    NOT NULL PRIMARY KEY CHECK (length(run_id) = 32),
    website_id      TEXT    NOT NULL,
    domain          TEXT    NOT NULL,
    plan_id         TEXT    NOT NULL,
    plan_hash       TEXT    NOT NULL REFERENCES plans (hash),
    status          TEXT    NOT NULL
        CHECK (status IN ('started', 'running', 'completed', 'failed', 'timeout', 'cancelled')),
    revision        INTEGER NOT NULL CHECK (revision >= 1),
    -- number of the run's last event: the fence of every write
    last_seq        INTEGER NOT NULL CHECK (last_seq >= 1),
    created_at      TEXT    NOT NULL CHECK (length(created_at) = 24),
    started_at      TEXT    NOT NULL CHECK (length(started_at) = 24),
    deadline_at     TEXT    NOT NULL CHECK (length(deadline_at) = 24),
    wake_at         TEXT             CHECK (length(wake_at) = 24),
    settled_at      TEXT             CHECK (length(settled_at) = 24),
    idempotency_key TEXT,
    request_hash    TEXT,
    summary         TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    CONSTRAINT a_run_wakes_until_it_settles CHECK ((settled_at IS NULL) = (wake_at IS NOT NULL)),
    CONSTRAINT only_these_statuses_are_open CHECK ((settled_at IS NULL) = (status IN ('started', 'running'))),
    CONSTRAINT a_deadline_is_ahead CHECK (deadline_at > started_at),
    CONSTRAINT a_key_has_a_request CHECK ((idempotency_key IS NULL) = (request_hash IS NULL))
) STRICT;

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

-- The log: append-only, gapless per run. The last six of the nine fractional digits of `created_at` are the event's
-- number, so that ordering by `created_at` gives the order of the log even within a millisecond.
CREATE TABLE kbase_events (
    event_id   TEXT    NOT NULL GENERATED ALWAYS AS ('evt_' || run_id || '_' || seq) VIRTUAL,
    website_id TEXT    NOT NULL,
    run_id     TEXT    NOT NULL REFERENCES runs (run_id),
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    service    TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    payload    TEXT    NOT NULL,
    created_at TEXT    NOT NULL CHECK (length(created_at) = 30),
    PRIMARY KEY (run_id, seq)
) STRICT;

CREATE INDEX kbase_events_of_a_website ON kbase_events (website_id, service, type, created_at);
CREATE INDEX kbase_events_created_at ON kbase_events (created_at);
