//! What the auditor reads: every row, readable or not, and what has no row.

use hermes_core::ports::store::{StoreError, StoredRun};
use sqlx::{AssertSqlSafe, PgPool};

use super::{Inner, Postgres, error};
use crate::store::{AuditRow, count};

/// A time as text, as the core writes it.
const TIME: &str = r#"to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"#;

/// SQLSTATEs: data are corrupted, an index is.
const CORRUPTED: [&str; 2] = ["XX001", "XX002"];

impl Inner {
    pub(super) async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError> {
        let time = |column: &str| format!("{} AS {column}", TIME.replace("at AT", &format!("{column} AT")));
        let times = ["created_at", "started_at", "deadline_at", "wake_at", "settled_at"].map(time).join(", ");
        let sql = format!(
            "SELECT run_id, website_id, domain, plan_id, plan_hash, status, revision::bigint AS revision, last_seq,
                    {times}, state::text AS state
             FROM runs WHERE run_id > $1 ORDER BY run_id LIMIT $2"
        );
        let rows: Vec<AuditRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(after)
            .bind(count(limit))
            .fetch_all(&self.link.lists())
            .await
            .map_err(error::of)?;
        self.load_plans(&self.link.lists(), rows.iter().map(|row| row.plan_hash.as_str())).await?;
        let stored = |row: AuditRow| {
            let plan = self.plans.get(&row.plan_hash);
            row.into_stored(plan)
        };
        Ok(rows.into_iter().map(stored).collect())
    }

    pub(super) async fn orphans(
        &self,
        after: &str,
        up_to: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(
            "SELECT DISTINCT run_id FROM kbase_log AS event
             WHERE run_id > $1 AND ($2::text IS NULL OR run_id <= $2)
               AND NOT EXISTS (SELECT FROM runs WHERE runs.run_id = event.run_id)
               -- events that are about to follow their runs
               AND NOT EXISTS (
                   SELECT FROM kbase_log_removals AS begun WHERE event.run_id >= begun.lower AND event.run_id < begun.upper
               )
             ORDER BY run_id LIMIT $3",
        )
        .bind(after)
        .bind(up_to)
        .bind(count(limit))
        .fetch_all(&self.link.lists())
        .await
        .map_err(error::of)
    }
}

impl Postgres {
    /// What the database finds damaged in itself: the indexes of our tables by `amcheck`, where that extension is
    /// installed and may be used; `None` if nothing could be checked.
    ///
    /// # Errors
    /// If the server does not answer.
    pub async fn damage(&self) -> Result<Option<Vec<String>>, StoreError> {
        self.inner.damage().await
    }
}

impl Inner {
    async fn damage(&self) -> Result<Option<Vec<String>>, StoreError> {
        let pool = self.link.lists();
        let usable: bool = sqlx::query_scalar(
            "SELECT coalesce(bool_or(has_function_privilege(oid, 'EXECUTE')), false)
             FROM pg_proc WHERE proname = 'bt_index_check' AND pronargs = 1 AND pg_function_is_visible(oid)",
        )
        .fetch_one(&pool)
        .await
        .map_err(error::of)?;
        if !usable {
            return Ok(None);
        }
        let indexes: Vec<String> = sqlx::query_scalar(
            "SELECT pg_index.indexrelid::regclass::text FROM pg_index
             JOIN pg_class ON pg_class.oid = pg_index.indexrelid
             WHERE relam = (SELECT oid FROM pg_am WHERE amname = 'btree')
               AND (indrelid = ANY (ARRAY['instance', 'plans', 'plan_versions', 'runs']::regclass[])
                    OR indrelid IN (SELECT relid FROM pg_partition_tree('kbase_log') WHERE isleaf))",
        )
        .fetch_all(&pool)
        .await
        .map_err(error::of)?;
        let mut damaged = Vec::new();
        for index in indexes {
            let checked = sqlx::query("SELECT bt_index_check($1::text::regclass)").bind(&index).execute(&pool).await;
            match checked {
                Ok(_) => {}
                Err(sqlx::Error::Database(refusal))
                    if refusal.code().is_some_and(|code| CORRUPTED.contains(&&*code)) =>
                {
                    damaged.push(format!("index {index}: {}", refusal.message()));
                }
                // an old part of the log was dropped meanwhile, and its indexes with it
                Err(_) if !is_there(&pool, &index).await? => {}
                Err(other) => return Err(error::of(other)),
            }
        }
        Ok(Some(damaged))
    }
}

async fn is_there(pool: &PgPool, index: &str) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(index);
    there.fetch_one(pool).await.map_err(error::of)
}
