//! The engine's transaction: take runs, commit what was decided.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{Change, Claim, Committed, PreviousOf, StoreError, Transaction};
use hermes_core::{EventId, Json, Plan, Run, RunId, Timestamp};
use sqlx::{Sqlite, SqliteConnection};

use super::{Inner, error, read, write};
use crate::store::{Batch, Restored, RunRow, StoredTime, count, text};

type Write = sqlx::Transaction<'static, Sqlite>;

/// Taken runs, and the write lock; dropping it rolls back.
pub(super) struct Taken {
    store: Arc<Inner>,
    now: Timestamp,
    runs: Vec<Run>,
    unreadable: Vec<(RunId, String)>,
    /// `None` if no run was asked for: the lock is taken at the commit then.
    write: Option<Write>,
}

pub(super) async fn begin(store: Arc<Inner>, claim: Claim<'_>) -> Result<Taken, StoreError> {
    let mut write = match claim {
        Claim::Nothing => {
            let now = store.clock.now();
            return Ok(Taken { store, now, runs: Vec::new(), unreadable: Vec::new(), write: None });
        }
        Claim::Runs(_) | Claim::Due(_) => store.writer.begin_with("BEGIN IMMEDIATE").await.map_err(error::of)?,
    };
    // read under the lock: no event of another transaction is newer
    let now = store.clock.now();
    let Restored { runs, unreadable } = match claim {
        Claim::Nothing => Restored::default(),
        Claim::Runs(ids) => {
            let rows = by_id(&mut write, ids).await?;
            store.restore_readable(rows).await?
        }
        Claim::Due(limit) => {
            let runs = due(&store, &mut write, now, limit).await?;
            Restored { runs, unreadable: Vec::new() }
        }
    };
    Ok(Taken { store, now, runs, unreadable, write: Some(write) })
}

async fn by_id(connection: &mut SqliteConnection, ids: &[RunId]) -> Result<Vec<RunRow>, StoreError> {
    sqlx::query_as(
        "SELECT run_id, plan_hash, last_seq, state FROM runs
         WHERE run_id IN (SELECT value FROM json_each(?)) ORDER BY run_id",
    )
    .bind(text(ids))
    .fetch_all(connection)
    .await
    .map_err(error::of)
}

/// Due runs. Those that cannot be read make room for the ones behind them.
async fn due(
    store: &Inner,
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<Run>, StoreError> {
    loop {
        let rows: Vec<RunRow> = sqlx::query_as(
            "SELECT run_id, plan_hash, last_seq, state FROM runs
             WHERE wake_at <= ? AND run_id NOT IN (SELECT value FROM json_each(?))
             ORDER BY wake_at, run_id LIMIT ?",
        )
        .bind(StoredTime::exact(now))
        .bind(text(&store.damaged.ids()))
        .bind(count(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(error::of)?;
        let found = rows.len();
        let Restored { runs, .. } = store.restore_readable(rows).await?;
        if runs.len() == found {
            return Ok(runs);
        }
    }
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
        let Self { store, write, .. } = *self;
        let mut batch = Batch::of(changes)?;
        let mut write = match write {
            Some(write) => write,
            None => store.writer.begin_with("BEGIN IMMEDIATE").await.map_err(error::of)?,
        };
        if !write::update(&mut write, &batch.updates).await? {
            drop(write);
            return Err(write::conflict(&store.readers, &batch.updates).await?);
        }
        let plans: Vec<Arc<Plan>> = batch.accepts.iter().map(|accept| Arc::clone(accept.run.plan())).collect();
        write::insert_plans(&store, &mut write, &plans).await?;
        let inserted = write::insert(&mut write, &batch.accepts).await?;
        let keys = batch.retain_inserted(&inserted);
        let owners = write::owners(&mut write, keys).await?;
        write::append(&mut write, &batch).await?;
        // a run whose id is taken is found here, before anything is committed
        let outcome = batch.outcome(owners)?;
        write.commit().await.map_err(error::of)?;
        for plan in plans {
            if store.plans.get(plan.hash().as_str()).is_none() {
                store.plans.put(&plan);
            }
        }
        Ok(outcome)
    }
}
