//! The statements that write. Each takes many rows, because what a statement costs besides its rows is a way to the
//! connection's thread and back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use hermes_core::ports::store::StoreError;
use hermes_core::{Plan, RunId};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::{Inner, error};
use crate::store::{Accept, Batch, Heads, LogRow, Owner, StoredTime, Update, number, text};

/// Rows of one statement at most; a power of two.
pub(super) const ROWS_MAX: usize = 256;
/// The sizes of a statement: 1, 2, 4 … [`ROWS_MAX`] rows.
const SIZES: usize = ROWS_MAX.ilog2() as usize + 1;
/// Parameters that SQLite takes in one statement.
const PARAMETERS_MAX: usize = 32_766;

const _: () = assert!(ROWS_MAX.is_power_of_two() && ROWS_MAX * 16 <= PARAMETERS_MAX, "a run has 16 columns");

/// One statement in all its sizes, so that few texts are prepared, once each. It is about the rows of `new`, which are
/// parameters. Rows that a batch does not fill stay unbound: they are NULL, and the statement must pass them over.
struct Sized([String; SIZES]);

impl Sized {
    fn of(columns: &str, statement: &str) -> Self {
        let row = format!("({})", vec!["?"; columns.split(',').count()].join(", "));
        Self(std::array::from_fn(|size| {
            let rows = vec![row.as_str(); 1 << size].join(", ");
            format!("WITH new ({columns}) AS (VALUES {rows}) {statement}")
        }))
    }

    /// The smallest one that holds so many rows, at most [`ROWS_MAX`].
    fn for_rows(&self, rows: usize) -> &str {
        &self.0[rows.next_power_of_two().ilog2() as usize]
    }
}

/// Writes runs over the versions that were taken. Whether all of them were still there.
pub(super) async fn update(connection: &mut SqliteConnection, updates: &[Update]) -> Result<bool, StoreError> {
    static STATEMENT: LazyLock<Sized> = LazyLock::new(|| {
        Sized::of(
            "run_id, taken_seq, status, revision, last_seq, started_at, deadline_at, wake_at, settled_at, state",
            "UPDATE runs SET status = new.status, revision = new.revision, last_seq = new.last_seq,
                             started_at = new.started_at, deadline_at = new.deadline_at, wake_at = new.wake_at,
                             settled_at = new.settled_at, state = new.state
             FROM new
             -- the fence: nobody has written since the run was taken
             WHERE runs.run_id = new.run_id AND runs.last_seq = new.taken_seq",
        )
    });
    for updates in updates.chunks(ROWS_MAX) {
        let mut statement = sqlx::query(STATEMENT.for_rows(updates.len()));
        for update in updates {
            let state = update.run.state();
            statement = statement
                .bind(state.run_id.to_string())
                .bind(number(update.taken_seq))
                .bind(state.status.as_str())
                .bind(i64::from(state.revision))
                .bind(number(state.last_seq))
                .bind(StoredTime::exact(state.started_at))
                .bind(StoredTime::exact(state.deadline_at))
                .bind(state.wake_at.map(StoredTime::exact))
                .bind(state.settled_at.map(StoredTime::exact))
                .bind(text(state));
        }
        let done = statement.execute(&mut *connection).await.map_err(error::of)?;
        if done.rows_affected() != updates.len() as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The first run that is not there as it was taken, as the error that says so.
pub(super) async fn conflict(readers: &SqlitePool, updates: &[Update]) -> Result<StoreError, StoreError> {
    let ids: Vec<RunId> = updates.iter().map(|update| update.run.id()).collect();
    let stored: Vec<(String, i64)> =
        sqlx::query_as("SELECT run_id, last_seq FROM runs WHERE run_id IN (SELECT value FROM json_each(?))")
            .bind(text(&ids))
            .fetch_all(readers)
            .await
            .map_err(error::of)?;
    let stored: HashMap<String, i64> = stored.into_iter().collect();
    let is_as_taken = |update: &&Update| stored.get(&update.run.id().to_string()) == Some(&number(update.taken_seq));
    let changed = updates.iter().find(|update| !is_as_taken(update)).map(|update| update.run.id());
    Ok(changed
        .map_or_else(|| StoreError::Defect("an update wrote other runs than its own".to_owned()), StoreError::Conflict))
}

/// Plans that this process has not seen in the database yet.
pub(super) async fn insert_plans(
    store: &Inner,
    connection: &mut SqliteConnection,
    plans: &[Arc<Plan>],
) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    for plan in plans {
        let (hash, frozen) = (plan.hash().as_str(), plan.frozen());
        if store.plans.get(hash).is_some() || !seen.insert(hash) {
            continue;
        }
        sqlx::query("INSERT INTO plans (hash, frozen) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(hash)
            .bind(frozen)
            .execute(&mut *connection)
            .await
            .map_err(error::of)?;
    }
    Ok(())
}

/// Inserts new runs; gives those that were inserted: neither their key nor their id was there.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    accepts: &[Accept],
) -> Result<HashSet<RunId>, StoreError> {
    static STATEMENT: LazyLock<Sized> = LazyLock::new(|| {
        let columns = "run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at, \
                       started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, state";
        let statement = format!(
            "INSERT INTO runs ({columns}) SELECT * FROM new WHERE run_id IS NOT NULL
             ON CONFLICT DO NOTHING RETURNING run_id"
        );
        Sized::of(columns, &statement)
    });
    let mut inserted = HashSet::with_capacity(accepts.len());
    for accepts in accepts.chunks(ROWS_MAX) {
        let mut statement = sqlx::query_scalar(STATEMENT.for_rows(accepts.len()));
        for accept in accepts {
            let (plan, state) = (accept.run.plan(), accept.run.state());
            let idempotency = accept.idempotency.as_ref();
            statement = statement
                .bind(state.run_id.to_string())
                .bind(state.website_id.as_str())
                .bind(state.domain.as_str())
                .bind(plan.id().as_str())
                .bind(plan.hash().as_str())
                .bind(state.status.as_str())
                .bind(i64::from(state.revision))
                .bind(number(state.last_seq))
                .bind(StoredTime::exact(state.created_at))
                .bind(StoredTime::exact(state.started_at))
                .bind(StoredTime::exact(state.deadline_at))
                .bind(state.wake_at.map(StoredTime::exact))
                .bind(state.settled_at.map(StoredTime::exact))
                .bind(idempotency.map(|idempotency| idempotency.key.as_str()))
                .bind(idempotency.map(|idempotency| idempotency.request_hash.as_str()))
                .bind(text(state));
        }
        let ids: Vec<String> = statement.fetch_all(&mut *connection).await.map_err(error::of)?;
        for id in ids {
            inserted.insert(id.parse().map_err(|error| StoreError::Defect(format!("{id}: {error}")))?);
        }
    }
    Ok(inserted)
}

/// Whose these idempotency keys are.
pub(super) async fn owners(
    connection: &mut SqliteConnection,
    keys: Vec<String>,
) -> Result<HashMap<String, Owner>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT idempotency_key, run_id, request_hash FROM runs
         WHERE idempotency_key IN (SELECT value FROM json_each(?))",
    )
    .bind(text(&keys))
    .fetch_all(connection)
    .await
    .map_err(error::of)?;
    rows.into_iter().map(Owner::of_row).collect()
}

/// Appends the events of a batch to the log.
pub(super) async fn append(connection: &mut SqliteConnection, batch: &Batch) -> Result<(), StoreError> {
    static STATEMENT: LazyLock<Sized> = LazyLock::new(|| {
        let columns = "run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads";
        let statement = format!("INSERT INTO kbase_log ({columns}) SELECT * FROM new WHERE run_id IS NOT NULL");
        Sized::of(columns, &statement)
    });
    let mut rows = log_of(batch);
    while !rows.is_empty() {
        let expected = rows.len().min(ROWS_MAX);
        let mut statement = sqlx::query(STATEMENT.for_rows(expected));
        for row in rows.drain(..expected) {
            statement = statement
                .bind(row.run_id)
                .bind(row.first_seq)
                .bind(row.last_seq)
                .bind(row.website_id)
                .bind(row.created_at)
                .bind(row.diagnosed)
                .bind(row.heads)
                .bind(row.payloads);
        }
        let done = statement.execute(&mut *connection).await.map_err(error::of)?;
        if done.rows_affected() != expected as u64 {
            return Err(StoreError::Defect("not all rows of the log were inserted".to_owned()));
        }
    }
    Ok(())
}

fn log_of(batch: &Batch) -> Vec<LogRow> {
    let accepted = batch.accepts.iter().map(|accept| &accept.events);
    let events = accepted.chain(batch.updates.iter().map(|update| &update.events));
    events.flat_map(|events| LogRow::of(events, Heads::Placed)).collect()
}
