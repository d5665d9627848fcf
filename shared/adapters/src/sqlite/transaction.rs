//! The engine's transaction: take runs, commit what was decided.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{Change, Claim, Committed, PreviousOf, StoreError, Transaction};
use hermes_core::{EventId, Json, Run, RunId, Timestamp};
use rusqlite::{Connection, Params, params};

use super::write::Writing;
use super::writer::Turn;
use super::{Inner, error, read};
use crate::store::{Batch, Restored, RunRow, StoredTime, count, text};

/// Taken runs, and the write lock; dropping it rolls back.
pub(super) struct Taken {
    store: Arc<Inner>,
    now: Timestamp,
    runs: Vec<Run>,
    unreadable: Vec<(RunId, String)>,
    /// `None` if no run was asked for: the lock is taken at the commit then.
    turn: Option<Turn>,
}

pub(super) async fn begin(store: Arc<Inner>, claim: Claim<'_>) -> Result<Taken, StoreError> {
    match claim {
        Claim::Nothing => {
            let now = store.clock.now();
            Ok(Taken { store, now, runs: Vec::new(), unreadable: Vec::new(), turn: None })
        }
        Claim::Runs(ids) => {
            let ids = text(ids);
            let (turn, now, rows) = first(&store, move |connection, _| by_id(connection, &ids)).await?;
            let Restored { runs, unreadable } = store.restore_readable(rows).await?;
            Ok(Taken { store, now, runs, unreadable, turn: Some(turn) })
        }
        Claim::Due(limit) => take_due(store, limit).await,
    }
}

/// The first rows of a transaction, and its time.
async fn first(
    store: &Inner,
    rows: impl FnOnce(&Connection, Timestamp) -> Result<Vec<RunRow>, StoreError> + Send + 'static,
) -> Result<(Turn, Timestamp, Vec<RunRow>), StoreError> {
    let clock = Arc::clone(&store.clock);
    let take = move |connection: &Connection| {
        // read when nobody else can write: no event of another transaction is newer
        let now = clock.now();
        Ok((now, rows(connection, now)?))
    };
    let (turn, (now, rows)) = store.writer()?.turn(take).await?;
    Ok((turn, now, rows))
}

/// Takes due runs. Those that cannot be read make room for the ones behind them.
async fn take_due(store: Arc<Inner>, limit: usize) -> Result<Taken, StoreError> {
    let damaged = text(&store.damaged.ids());
    let due_now = move |connection: &Connection, now| due(connection, now, &damaged, limit);
    let (mut turn, now, mut rows) = first(&store, due_now).await?;
    loop {
        let found = rows.len();
        let Restored { runs, .. } = store.restore_readable(rows).await?;
        if runs.len() == found {
            return Ok(Taken { store, now, runs, unreadable: Vec::new(), turn: Some(turn) });
        }
        let damaged = text(&store.damaged.ids());
        rows = turn.part(move |connection: &Connection| due(connection, now, &damaged, limit)).await?;
    }
}

fn by_id(connection: &Connection, ids: &str) -> Result<Vec<RunRow>, StoreError> {
    let sql = "SELECT run_id, plan_hash, last_seq, state FROM runs
               WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id";
    rows(connection, sql, [ids]).map_err(error::of_writing)
}

/// Due runs but for those that are damaged, a JSON list.
fn due(connection: &Connection, now: Timestamp, damaged: &str, limit: usize) -> Result<Vec<RunRow>, StoreError> {
    let sql = "SELECT run_id, plan_hash, last_seq, state FROM runs
               WHERE wake_at <= ? AND run_id NOT IN (SELECT value FROM json_each(?))
               ORDER BY wake_at, run_id LIMIT ?";
    let values = params![StoredTime::exact(now), damaged, count(limit)];
    rows(connection, sql, values).map_err(error::of_writing)
}

fn rows(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<Vec<RunRow>> {
    let mut statement = connection.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(RunRow { run_id: row.get(0)?, plan_hash: row.get(1)?, last_seq: row.get(2)?, state: row.get(3)? })
    };
    statement.query_map(values, row)?.collect()
}

#[async_trait]
impl Transaction for Taken {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn take_runs(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.runs)
    }

    fn unreadable(&self) -> &[(RunId, String)] {
        &self.unreadable
    }

    async fn events(&mut self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        read::events(&self.store.readers, wanted).await
    }

    async fn previous_diagnoses(&mut self, of: &[PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError> {
        read::previous_diagnoses(&self.store.readers, of).await
    }

    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        let Self { store, turn, .. } = *self;
        let writing = Writing::of(Batch::of(changes)?, &store.plans);
        let plans = writing.plans();
        let write = move |connection: &Connection| writing.write(connection);
        let outcome = match turn {
            Some(turn) => turn.commit(write).await?,
            None => store.writer()?.commit(write).await?,
        };
        plans.iter().for_each(|plan| store.plans.put(plan));
        Ok(outcome)
    }
}
