//! The parts of the log, one for each week: see the migration `weeks`.

use hermes_core::ports::store::StoreError;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor as _};

use super::{Inner, error};

/// Weeks ahead for which there are parts: this long the log stays in order although nobody makes any.
const WEEKS_AHEAD: i32 = 4;
/// Weeks in the past that get a part when it turns out that nobody made it in time.
const WEEKS_MISSED_MAX: i32 = 12;
/// Rows of the default part that may move into their weeks, for which the engine waits.
const MOVED_MAX: i64 = 100_000;
/// How long this waits for a lock, at most: while it waits, whatever comes after it waits, too.
pub(super) const LOCK_TIMEOUT_MS: u32 = 250;

/// Whether nobody else changes parts at the moment; nobody begins to until the transaction ends.
pub(super) async fn alone(connection: &mut PgConnection) -> Result<bool, StoreError> {
    // the lock that the function takes, too
    sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('hermes: parts of kbase_log', 0))")
        .fetch_one(connection)
        .await
        .map_err(error::of)
}

impl Inner {
    /// Makes the parts of the coming weeks; gives their names.
    pub(super) async fn make_room(&self) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.link.lists().begin().await.map_err(error::of)?;
        let missing: bool = sqlx::query_scalar(
            "SELECT to_regclass('kbase_log_' || to_char(
                 date_trunc('week', (clock_timestamp() + make_interval(weeks => $1)) AT TIME ZONE 'UTC'), 'YYYYMMDD'
             )) IS NULL",
        )
        .bind(WEEKS_AHEAD)
        .fetch_one(&mut *transaction)
        .await
        .map_err(error::of)?;
        if !missing || !alone(&mut transaction).await? {
            return Ok(Vec::new());
        }
        let astray: i64 = sqlx::query_scalar("SELECT count(*) FROM (SELECT FROM kbase_log_default LIMIT $1) AS astray")
            .bind(MOVED_MAX + 1)
            .fetch_one(&mut *transaction)
            .await
            .map_err(error::of)?;
        if astray > MOVED_MAX {
            tracing::warn!(
                "kbase_log_default has more than {MOVED_MAX} rows, and to move them into their weeks would keep the engine \
                 waiting: in a quiet hour, SELECT kbase_log_add_weeks(since, now() + interval '4 weeks')"
            );
            return Ok(Vec::new());
        }
        let timeout = format!("SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}");
        transaction.execute(AssertSqlSafe(timeout)).await.map_err(error::of)?;
        // what came while nobody made parts is put where it belongs, too
        let made: Vec<String> = sqlx::query_scalar(
            "WITH astray AS (
                 SELECT min(run_id) AS run_id FROM kbase_log_default
                 WHERE run_id BETWEEN kbase_log_bound(clock_timestamp() - make_interval(weeks => $2))
                                  AND kbase_log_bound(clock_timestamp())
             )
             SELECT kbase_log_add_weeks(
                 coalesce(to_timestamp(('x' || left(run_id, 12))::bit(48)::bigint / 1000.0), clock_timestamp()),
                 clock_timestamp() + make_interval(weeks => $1)
             ) FROM astray",
        )
        .bind(WEEKS_AHEAD)
        .bind(WEEKS_MISSED_MAX)
        .fetch_all(&mut *transaction)
        .await
        .map_err(error::of)?;
        transaction.commit().await.map_err(error::of)?;
        Ok(made)
    }
}
