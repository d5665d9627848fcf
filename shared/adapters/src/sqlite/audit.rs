//! What the auditor reads: every row, readable or not, what has no row, and what SQLite finds damaged in its file.

use hermes_core::ports::store::{StoreError, StoredRun};

use super::{Inner, Sqlite, error};
use crate::store::{AuditRow, count};

impl Inner {
    pub(super) async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError> {
        let rows: Vec<AuditRow> = sqlx::query_as(
            "SELECT run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq,
                    created_at, started_at, deadline_at, wake_at, settled_at, state
             FROM runs WHERE run_id > ? ORDER BY run_id LIMIT ?",
        )
        .bind(after)
        .bind(count(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(error::of)?;
        self.load_plans(rows.iter().map(|row| row.plan_hash.as_str())).await?;
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
             WHERE run_id > ?1 AND (?2 IS NULL OR run_id <= ?2)
               AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.run_id = event.run_id)
             ORDER BY run_id LIMIT ?3",
        )
        .bind(after)
        .bind(up_to)
        .bind(count(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(error::of)
    }
}

impl Sqlite {
    /// What SQLite finds damaged in its file: pages, indexes, and rows that refer to rows which are not there. It reads
    /// the whole file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn damage(&self) -> Result<Vec<String>, StoreError> {
        let readers = &self.inner.readers;
        let mut damage: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check").fetch_all(readers).await.map_err(error::of)?;
        damage.retain(|line| line != "ok");
        let strays: Vec<(String, Option<i64>, String)> =
            sqlx::query_as("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT 100")
                .fetch_all(readers)
                .await
                .map_err(error::of)?;
        let stray = |(table, row, parent): (String, Option<i64>, String)| {
            let row = row.map_or_else(String::new, |row| format!(" {row}"));
            format!("row{row} of {table} refers to a row of {parent} that is not there")
        };
        damage.extend(strays.into_iter().map(stray));
        Ok(damage)
    }
}
