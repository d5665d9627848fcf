//! The engine's transaction: take runs under a row lock, commit what was decided. Set-based: the number of statements
//! does not depend on the number of runs.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{Change, Claim, Committed, PreviousOf, StoreError, Transaction};
use hermes_core::{EventId, Json, Plan, Run, RunId, Timestamp};
use sqlx::postgres::PgConnection;

use super::{Inner, error, previous, read, write};
use crate::store::{Batch, Restored, RunRow, StoredTime, count};

type Write = sqlx::Transaction<'static, sqlx::Postgres>;

/// Taken runs and their locks; dropping it rolls back.
pub(super) struct Taken {
    store: Arc<Inner>,
    now: Timestamp,
    runs: Vec<Run>,
    unreadable: Vec<(RunId, String)>,
    /// `None` if no run was asked for: a connection is taken at the commit then.
    write: Option<Write>,
}

pub(super) async fn begin(store: Arc<Inner>, claim: Claim<'_>) -> Result<Taken, StoreError> {
    let begin = || async { store.link.pool().begin().await.map_err(error::of) };
    let (now, restored, write) = match claim {
        Claim::Nothing => {
            let now = match store.clock.now() {
                Some(now) => now,
                None => store.now().await?,
            };
            (now, Restored::default(), None)
        }
        Claim::Runs(ids) => {
            let mut write = begin().await?;
            let Claimed { now, rows } = by_id(&mut write, ids).await?;
            let restored = store.restore_readable(&mut *write, rows).await?;
            (now, restored, Some(write))
        }
        Claim::Due(limit) => {
            let mut write = begin().await?;
            let (now, runs) = due(&store, &mut write, limit).await?;
            (now, Restored { runs, unreadable: Vec::new() }, Some(write))
        }
    };
    let Restored { runs, unreadable } = restored;
    Ok(Taken { store, now, runs, unreadable, write })
}

/// Locked rows, and the clock after the last lock.
struct Claimed {
    now: Timestamp,
    rows: Vec<RunRow>,
}

/// A locked row, if there is one, with the clock when it was read.
#[derive(sqlx::FromRow)]
struct ClaimedRow {
    now: StoredTime,
    run_id: Option<String>,
    plan_hash: Option<String>,
    last_seq: Option<i64>,
    state: Option<String>,
}

impl Claimed {
    fn of(rows: Vec<ClaimedRow>) -> Result<Self, StoreError> {
        let now = rows.iter().map(|row| row.now.timestamp()).max();
        let now = now.ok_or_else(|| StoreError::Defect("the claim did not give the time".to_owned()))?;
        let run = |row: ClaimedRow| {
            Some(RunRow { run_id: row.run_id?, plan_hash: row.plan_hash?, last_seq: row.last_seq?, state: row.state? })
        };
        Ok(Self { now, rows: rows.into_iter().filter_map(run).collect() })
    }
}

/// Waits for the locks, always in the order of ids, so that two transactions cannot wait for each other.
async fn by_id(connection: &mut PgConnection, ids: &[RunId]) -> Result<Claimed, StoreError> {
    // the clock is read outside the CTE, row by row: after the lock of each row
    let rows = sqlx::query_as(
        "WITH taken AS MATERIALIZED (
             SELECT run_id, plan_hash, last_seq, state::text AS state FROM runs
             WHERE run_id = ANY ($1) ORDER BY run_id FOR UPDATE
         )
         SELECT clock_timestamp() AS now, run_id, plan_hash, last_seq, state FROM (SELECT) AS once LEFT JOIN taken ON true",
    )
    .bind(ids.iter().map(RunId::to_string).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
    .map_err(error::of)?;
    Claimed::of(rows)
}

/// Due runs that nobody else has. Those that cannot be read make room for the ones behind them.
async fn due(store: &Inner, connection: &mut PgConnection, limit: usize) -> Result<(Timestamp, Vec<Run>), StoreError> {
    loop {
        let rows = sqlx::query_as(
            "WITH taken AS MATERIALIZED (
                 SELECT run_id, plan_hash, last_seq, state::text AS state FROM runs
                 WHERE wake_at <= statement_timestamp() AND run_id <> ALL ($1)
                 ORDER BY wake_at, run_id LIMIT $2 FOR UPDATE SKIP LOCKED
             )
             SELECT clock_timestamp() AS now, run_id, plan_hash, last_seq, state
             FROM (SELECT) AS once LEFT JOIN taken ON true",
        )
        .bind(store.damaged.ids())
        .bind(count(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(error::of)?;
        let Claimed { now, rows } = Claimed::of(rows)?;
        let found = rows.len();
        let Restored { runs, .. } = store.restore_readable(&mut *connection, rows).await?;
        if runs.len() == found {
            return Ok((now, runs));
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
        let link = &self.store.link;
        match &mut self.write {
            Some(write) => link.within(read::events(&mut **write, wanted)).await,
            None => link.within(read::events(&link.pool(), wanted)).await,
        }
    }

    async fn previous_diagnoses(&mut self, of: &[PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError> {
        let store = &self.store;
        let diagnoses = async {
            match &mut self.write {
                Some(write) => previous::diagnoses(write, of).await,
                None => previous::diagnoses(&mut *store.link.pool().acquire().await.map_err(error::of)?, of).await,
            }
        };
        store.link.within(diagnoses).await
    }

    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        let Self { store, write, .. } = *self;
        let batch = Batch::of(changes)?;
        store.link.within(commit(&store, write, batch)).await
    }
}

async fn commit(store: &Inner, write: Option<Write>, batch: Batch) -> Result<Vec<Committed>, StoreError> {
    let plans: Vec<Arc<Plan>> = batch.accepts.iter().map(|accept| Arc::clone(accept.run.plan())).collect();
    let outcome = match write {
        // one statement is a transaction of its own; plans may be there before their runs
        None if batch.updates.is_empty() || batch.accepts.is_empty() => {
            let mut connection = store.link.pool().acquire().await.map_err(error::of)?;
            write_all(store, &mut connection, batch, &plans).await?
        }
        write => {
            let mut write = match write {
                Some(write) => write,
                None => store.link.pool().begin().await.map_err(error::of)?,
            };
            let outcome = write_all(store, &mut write, batch, &plans).await?;
            write.commit().await.map_err(error::of)?;
            outcome
        }
    };
    for plan in plans {
        if store.plans.get(plan.hash().as_str()).is_none() {
            store.plans.put(&plan);
        }
    }
    Ok(outcome)
}

async fn write_all(
    store: &Inner,
    connection: &mut PgConnection,
    mut batch: Batch,
    plans: &[Arc<Plan>],
) -> Result<Vec<Committed>, StoreError> {
    write::update(connection, &batch.updates).await?;
    write::insert_plans(store, connection, plans).await?;
    let inserted = write::insert(connection, &batch.accepts).await?;
    let keys = batch.retain_inserted(&inserted);
    batch.outcome(write::owners(connection, keys).await?)
}
