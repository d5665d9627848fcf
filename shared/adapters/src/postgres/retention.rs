//! Removing old runs. A part of the log goes as a whole, once all runs of its week have settled long enough ago: until
//! then the whole week is kept. What has no week of its own goes run by run.
//!
//! Each step is one short transaction, and only one process takes steps at a time. A process may die between any two: what
//! is left of the work follows from what is stored. No step removes a run by what an earlier one saw: the row itself is
//! asked, under its lock, so that a run that is being tried again stays, and with it its events.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hermes_core::ports::store::{Removed, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::partitions::{LOCK_TIMEOUT_MS, alone};
use super::{Inner, error};
use crate::store::{StoredTime, count};

/// The SQLSTATE of a lock that was waited for in vain.
const LOCK_NOT_AVAILABLE: &str = "55P03";
/// Runs of a week that one step looks at, to see whether one of them keeps it.
const LOOKED_AT_MAX: i64 = 20_000;

/// A part of the log for one week.
#[derive(sqlx::FromRow)]
struct Week {
    part: String,
    /// Ids of its runs: from here on …
    lower: String,
    /// … and below that.
    upper: String,
    /// Whether removing it has begun.
    is_begun: bool,
}

/// What this process knows of the weeks that it looked at, so that it does not look at everything again each time.
#[derive(Default)]
pub(super) struct Weeks(Mutex<HashMap<String, Looked>>);

/// What was found of a week. Both are hints.
#[derive(Clone)]
enum Looked {
    /// No run up to this id keeps it.
    UpTo(String),
    /// This run keeps it.
    KeptBy(String),
}

impl Weeks {
    fn get(&self, week: &Week) -> Looked {
        let weeks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        weeks.get(&week.part).cloned().unwrap_or_else(|| Looked::UpTo(week.lower.clone()))
    }

    fn put(&self, week: &Week, looked: Option<Looked>) {
        let mut weeks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Some(looked) => weeks.insert(week.part.clone(), looked),
            None => weeks.remove(&week.part),
        };
    }
}

impl Inner {
    /// One step; see [`hermes_core::ports::store::Store::remove_settled`].
    pub(super) async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        let mut transaction = self.link.lists().begin().await.map_err(error::of)?;
        let timeout = format!("SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}");
        transaction.execute(AssertSqlSafe(timeout)).await.map_err(error::of)?;
        if !alone(&mut transaction).await? {
            return Ok(Removed { is_all: true, ..Removed::default() });
        }
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let before: StoredTime = sqlx::query_scalar("SELECT clock_timestamp() - $1 * interval '1 millisecond'")
            .bind(keep_ms)
            .fetch_one(&mut *transaction)
            .await
            .map_err(error::of)?;
        let removed = step(&mut transaction, &self.weeks, before, limit).await?;
        transaction.commit().await.map_err(error::of)?;
        Ok(removed)
    }
}

async fn step(
    connection: &mut PgConnection,
    known: &Weeks,
    before: StoredTime,
    limit: usize,
) -> Result<Removed, StoreError> {
    let runs = remove_one_by_one(&mut *connection, before, limit).await?;
    if runs > 0 {
        return Ok(Removed { runs, ..Removed::default() });
    }
    for week in weeks(&mut *connection, before).await? {
        if !week.is_begun {
            match look(&mut *connection, known.get(&week), &week, before).await? {
                Some(looked @ Looked::KeptBy(_)) => {
                    known.put(&week, Some(looked));
                    continue;
                }
                Some(looked @ Looked::UpTo(_)) => {
                    known.put(&week, Some(looked));
                    return Ok(Removed::default());
                }
                None => {}
            }
        }
        let runs = remove_from_week(&mut *connection, &week, before, limit).await?;
        if runs > 0 {
            return Ok(Removed { runs, ..Removed::default() });
        }
        if drop_part(&mut *connection, &week).await? {
            known.put(&week, None);
            return Ok(Removed { parts: vec![week.part], ..Removed::default() });
        }
    }
    Ok(Removed { is_all: true, ..Removed::default() })
}

/// Old runs whose events lie in a part for all sorts of ids: row by row, with their events.
async fn remove_one_by_one(connection: &mut PgConnection, before: StoredTime, limit: usize) -> Result<u64, StoreError> {
    let mut removed = 0;
    for part in ["kbase_log_first", "kbase_log_default"] {
        let is_there: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(part)
            .fetch_one(&mut *connection)
            .await
            .map_err(error::of)?;
        if !is_there {
            continue;
        }
        // In the order of its ids; what must stay is passed over each time, and there is little of that among old runs.
        let sql = format!(
            "WITH old AS (
                 SELECT runs.run_id FROM {part} AS event JOIN runs ON runs.run_id = event.run_id
                 WHERE event.run_id < kbase_log_bound($1) AND runs.settled_at < $1
                 ORDER BY event.run_id LIMIT $2 FOR UPDATE OF runs SKIP LOCKED
             ), gone AS (
                 DELETE FROM runs WHERE run_id IN (SELECT run_id FROM old) RETURNING run_id
             ), logged AS (
                 DELETE FROM {part} WHERE run_id IN (SELECT run_id FROM gone)
             )
             SELECT count(*) FROM gone"
        );
        let gone: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(before)
            .bind(count(limit))
            .fetch_one(&mut *connection)
            .await
            .map_err(error::of)?;
        removed += gone.unsigned_abs();
    }
    Ok(removed)
}

/// The weeks that had ended before this time, oldest first.
async fn weeks(connection: &mut PgConnection, before: StoredTime) -> Result<Vec<Week>, StoreError> {
    sqlx::query_as(
        "SELECT part, bounds[1] AS lower, bounds[2] AS upper,
                EXISTS (SELECT FROM kbase_log_removals AS begun WHERE begun.part = parts.part) AS is_begun
         FROM (
             SELECT relname::text AS part, regexp_match(pg_get_expr(relpartbound, pg_class.oid),
                                                        'FROM \\(''([0-9a-f]+)''\\) TO \\(''([0-9a-f]+)''\\)') AS bounds
             FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'kbase_log'::regclass
         ) AS parts
         WHERE part ~ '^kbase_log_[0-9]{8}$' AND bounds[2] COLLATE \"C\" <= kbase_log_bound($1)
         ORDER BY bounds[1] COLLATE \"C\"",
    )
    .bind(before)
    .fetch_all(connection)
    .await
    .map_err(error::of)
}

/// Goes on looking whether a run of the week keeps it, because it is open or settled too short a time ago, be it for the
/// second time; `None` when all were looked at and none does.
async fn look(
    connection: &mut PgConnection,
    looked: Looked,
    week: &Week,
    before: StoredTime,
) -> Result<Option<Looked>, StoreError> {
    let after = match looked {
        Looked::UpTo(after) => after,
        Looked::KeptBy(run) => {
            let still: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT FROM runs WHERE run_id = $1 AND (settled_at IS NULL OR settled_at >= $2))",
            )
            .bind(&run)
            .bind(before)
            .fetch_one(&mut *connection)
            .await
            .map_err(error::of)?;
            if still {
                return Ok(Some(Looked::KeptBy(run)));
            }
            run
        }
    };
    let (seen, last, keeper): (i64, Option<String>, Option<String>) = sqlx::query_as(
        "SELECT count(*), max(run_id), min(run_id) FILTER (WHERE settled_at IS NULL OR settled_at >= $3) FROM (
             SELECT run_id, settled_at FROM runs WHERE run_id > $1 AND run_id < $2 ORDER BY run_id LIMIT $4
         ) AS page",
    )
    .bind(after)
    .bind(&week.upper)
    .bind(before)
    .bind(LOOKED_AT_MAX)
    .fetch_one(connection)
    .await
    .map_err(error::of)?;
    Ok(match (keeper, last) {
        (Some(run), _) => Some(Looked::KeptBy(run)),
        (None, Some(last)) if seen == LOOKED_AT_MAX => Some(Looked::UpTo(last)),
        (None, _) => None,
    })
}

/// Rows of `runs`, and that this week is being removed: both or none.
async fn remove_from_week(
    connection: &mut PgConnection,
    week: &Week,
    before: StoredTime,
    limit: usize,
) -> Result<u64, StoreError> {
    sqlx::query(
        "INSERT INTO kbase_log_removals (part, lower, upper, begun_at) VALUES ($1, $2, $3, clock_timestamp())
         ON CONFLICT DO NOTHING",
    )
    .bind(&week.part)
    .bind(&week.lower)
    .bind(&week.upper)
    .execute(&mut *connection)
    .await
    .map_err(error::of)?;
    let gone = sqlx::query(
        "DELETE FROM runs WHERE run_id IN (
             SELECT run_id FROM runs WHERE run_id >= $1 AND run_id < $2 AND settled_at < $3
             ORDER BY run_id LIMIT $4 FOR UPDATE SKIP LOCKED
         )",
    )
    .bind(&week.lower)
    .bind(&week.upper)
    .bind(before)
    .bind(count(limit))
    .execute(connection)
    .await
    .map_err(error::of)?;
    Ok(gone.rows_affected())
}

/// Drops the part of a week without runs. Tells `false` where it cannot for now: a run is still there, or somebody reads
/// the log.
async fn drop_part(connection: &mut PgConnection, week: &Week) -> Result<bool, StoreError> {
    if !is_empty(&mut *connection, week).await? {
        return Ok(false);
    }
    // Whoever writes a run of this week holds a lock on the log until its end; after this nobody does.
    match connection.execute("SAVEPOINT before_lock; LOCK TABLE ONLY kbase_log IN ACCESS EXCLUSIVE MODE").await {
        Ok(_) => {}
        Err(sqlx::Error::Database(refusal)) if refusal.code().as_deref() == Some(LOCK_NOT_AVAILABLE) => {
            connection.execute("ROLLBACK TO SAVEPOINT before_lock").await.map_err(error::of)?;
            return Ok(false);
        }
        Err(other) => return Err(error::of(other)),
    }
    if !is_empty(&mut *connection, week).await? {
        return Ok(false);
    }
    connection.execute(AssertSqlSafe(format!("DROP TABLE {}", week.part))).await.map_err(error::of)?;
    sqlx::query("DELETE FROM kbase_log_removals WHERE part = $1")
        .bind(&week.part)
        .execute(connection)
        .await
        .map_err(error::of)?;
    Ok(true)
}

/// Whether the week has no run.
async fn is_empty(connection: &mut PgConnection, week: &Week) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM runs WHERE run_id >= $1 AND run_id < $2)")
        .bind(&week.lower)
        .bind(&week.upper)
        .fetch_one(connection)
        .await
        .map_err(error::of)
}
