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
    if let Claim::Nothing = claim {
        let now = store.clock.now();
        return Ok(Taken { store, now, runs: Vec::new(), unreadable: Vec::new(), turn: None });
    }
    let mut turn = store.writer()?.turn().await?;
    // read when nobody else can write: no event of another transaction is newer
    let now = store.clock.now();
    let Restored { runs, unreadable } = match claim {
        Claim::Nothing => Restored::default(),
        Claim::Runs(ids) => {
            let ids = text(ids);
            let rows = turn.part(move |connection| by_id(connection, &ids)).await?;
            store.restore_readable(rows).await?
        }
        Claim::Due(limit) => {
            let runs = due(&store, &mut turn, now, limit).await?;
            Restored { runs, unreadable: Vec::new() }
        }
    };
    Ok(Taken { store, now, runs, unreadable, turn: Some(turn) })
}

fn by_id(connection: &Connection, ids: &str) -> Result<Vec<RunRow>, StoreError> {
    let sql = "SELECT run_id, plan_hash, last_seq, state FROM runs
               WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id";
    rows(connection, sql, [ids]).map_err(error::of_writing)
}

/// Due runs. Those that cannot be read make room for the ones behind them.
async fn due(store: &Inner, turn: &mut Turn, now: Timestamp, limit: usize) -> Result<Vec<Run>, StoreError> {
    let sql = "SELECT run_id, plan_hash, last_seq, state FROM runs
               WHERE wake_at <= ? AND run_id NOT IN (SELECT value FROM json_each(?))
               ORDER BY wake_at, run_id LIMIT ?";
    loop {
        let damaged = text(&store.damaged.ids());
        let due = move |connection: &Connection| {
            let values = params![StoredTime::exact(now), damaged, count(limit)];
            rows(connection, sql, values).map_err(error::of_writing)
        };
        let rows = turn.part(due).await?;
        let found = rows.len();
        let Restored { runs, .. } = store.restore_readable(rows).await?;
        if runs.len() == found {
            return Ok(runs);
        }
    }
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
