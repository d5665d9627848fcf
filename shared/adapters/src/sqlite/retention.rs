//! Removing old runs, with their events: in one file everything goes run by run. The file keeps its size, and the room is
//! used again.

use std::time::Duration;

use hermes_core::ports::store::{Removed, StoreError};

use super::{Inner, error};
use crate::store::{StoredTime, count};

impl Inner {
    /// One step; see [`hermes_core::ports::store::Store::remove_settled`].
    pub(super) async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        let mut write = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(error::of)?;
        let before = self.clock.now().minus_ms(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        // Ids begin with their time: what was accepted later than this need not be looked at.
        let bound = format!("{:012x}", before.as_millis().max(0));
        let old: Vec<String> =
            sqlx::query_scalar("SELECT run_id FROM runs WHERE run_id < ? AND settled_at < ? ORDER BY run_id LIMIT ?")
                .bind(bound)
                .bind(StoredTime::exact(before))
                .bind(count(limit))
                .fetch_all(&mut *write)
                .await
                .map_err(error::of)?;
        if old.is_empty() {
            return Ok(Removed { is_all: true, ..Removed::default() });
        }
        let ids = hermes_core::Json::of(&old).get().to_owned();
        for table in ["kbase_log", "runs"] {
            let sql = format!("DELETE FROM {table} WHERE run_id IN (SELECT value FROM json_each(?))");
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&ids).execute(&mut *write).await.map_err(error::of)?;
        }
        write.commit().await.map_err(error::of)?;
        Ok(Removed { runs: old.len() as u64, ..Removed::default() })
    }
}
