//! Removing old runs, with their events: in one file everything goes run by run. The file keeps its size, and the room is
//! used again.

use std::time::Duration;

use hermes_core::Timestamp;
use hermes_core::ports::store::{Removed, StoreError};
use rusqlite::{Connection, params};

use super::{Inner, error};
use crate::store::{StoredTime, count, text};

impl Inner {
    /// One step; see [`hermes_core::ports::store::Store::remove_settled`].
    pub(super) async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        let before = self.clock.now().minus_ms(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        self.writer()?.commit(move |connection| remove(connection, before, limit).map_err(error::of_writing)).await
    }
}

fn remove(connection: &Connection, before: Timestamp, limit: usize) -> rusqlite::Result<Removed> {
    // Ids begin with their time: what was accepted later than this need not be looked at.
    let bound = format!("{:012x}", before.as_millis().max(0));
    let old: Vec<String> = connection
        .prepare_cached("SELECT run_id FROM runs WHERE run_id < ? AND settled_at < ? ORDER BY run_id LIMIT ?")?
        .query_map(params![bound, StoredTime::exact(before), count(limit)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let ids = text(&old);
    for statement in [
        "DELETE FROM kbase_log WHERE run_id IN (SELECT value FROM json_each(?))",
        "DELETE FROM runs WHERE run_id IN (SELECT value FROM json_each(?))",
    ] {
        connection.prepare_cached(statement)?.execute([&ids])?;
    }
    Ok(Removed { runs: old.len() as u64, is_all: old.is_empty(), ..Removed::default() })
}
