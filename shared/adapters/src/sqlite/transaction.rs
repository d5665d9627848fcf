//! The engine's transaction: take runs, commit what was decided.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{Change, Claim, Committed, PreviousOf, StoreError, Transaction};
use hermes_core::{EventId, Json, Run, RunId, Timestamp};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::{Inner, error, read};
use crate::store::{Accept, Batch, Owner, Restored, RunRow, StoredTime, Update, count, number};

type Write = sqlx::Transaction<'static, Sqlite>;

/// Rows of one `INSERT`: a statement has 32,766 parameters at most.
const INSERT_ROWS: usize = 500;

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
    .bind(Json::of(ids).get().to_owned())
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
        .bind(Json::of(&store.damaged.ids()).get().to_owned())
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
        for update in &batch.updates {
            write_update(&mut write, update).await?;
        }
        let owners = insert(&mut write, &mut batch).await?;
        append(&mut write, batch.events()).await?;
        // a run whose id is taken is found here, before anything is committed
        let plans: Vec<_> = batch.accepts.iter().map(|accept| Arc::clone(accept.run.plan())).collect();
        let outcome = batch.outcome(owners)?;
        write.commit().await.map_err(error::of)?;
        plans
            .iter()
            .filter(|plan| store.plans.get(plan.hash().as_str()).is_none())
            .for_each(|plan| store.plans.put(plan));
        Ok(outcome)
    }
}

/// Writes a run over the version that was taken.
async fn write_update(connection: &mut SqliteConnection, update: &Update) -> Result<(), StoreError> {
    let state = update.run.state();
    let done = sqlx::query(
        "UPDATE runs SET status = ?, revision = ?, last_seq = ?, started_at = ?, deadline_at = ?, wake_at = ?,
                         settled_at = ?, state = ?
         WHERE run_id = ? AND last_seq = ?",
    )
    .bind(state.status.as_str())
    .bind(i64::from(state.revision))
    .bind(number(state.last_seq))
    .bind(StoredTime::exact(state.started_at))
    .bind(StoredTime::exact(state.deadline_at))
    .bind(state.wake_at.map(StoredTime::exact))
    .bind(state.settled_at.map(StoredTime::exact))
    .bind(Json::of(state).get().to_owned())
    .bind(state.run_id.to_string())
    .bind(number(update.taken_seq))
    .execute(connection)
    .await
    .map_err(error::of)?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict(state.run_id)) }
}

/// Inserts new runs and leaves those in the batch that were inserted. Gives the owners of the keys of the others.
async fn insert(connection: &mut SqliteConnection, batch: &mut Batch) -> Result<HashMap<String, Owner>, StoreError> {
    let mut inserted = HashSet::new();
    let mut plans = HashSet::new();
    for accept in &batch.accepts {
        let plan = accept.run.plan();
        if plans.insert(plan.hash()) {
            sqlx::query("INSERT INTO plans (hash, frozen) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(plan.hash().as_str())
                .bind(plan.frozen())
                .execute(&mut *connection)
                .await
                .map_err(error::of)?;
        }
        if insert_run(connection, accept).await? {
            inserted.insert(accept.run.id());
        }
    }
    let keys = batch.retain_inserted(&inserted);
    owners(connection, keys).await
}

/// Whether the run was inserted: neither its key nor its id was there.
async fn insert_run(connection: &mut SqliteConnection, accept: &Accept) -> Result<bool, StoreError> {
    let (plan, state) = (accept.run.plan(), accept.run.state());
    let idempotency = accept.idempotency.as_ref();
    let done = sqlx::query(
        "INSERT INTO runs (run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at,
                           started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(state.run_id.to_string())
    .bind(state.website_id.as_str())
    .bind(state.domain.as_str())
    .bind(plan.id().as_str())
    .bind(plan.hash().as_str())
    .bind(state.status.as_str())
    .bind(i64::from(state.revision))
    .bind(number(state.last_seq))
    .bind(StoredTime::exact(state.created_at))
    .bind(StoredTime::exact(state.started_at))
    .bind(StoredTime::exact(state.deadline_at))
    .bind(state.wake_at.map(StoredTime::exact))
    .bind(state.settled_at.map(StoredTime::exact))
    .bind(idempotency.map(|idempotency| idempotency.key.as_str()))
    .bind(idempotency.map(|idempotency| idempotency.request_hash.as_str()))
    .bind(Json::of(state).get().to_owned())
    .execute(connection)
    .await
    .map_err(error::of)?;
    Ok(done.rows_affected() == 1)
}

async fn owners(connection: &mut SqliteConnection, keys: Vec<String>) -> Result<HashMap<String, Owner>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT idempotency_key, run_id, request_hash FROM runs
         WHERE idempotency_key IN (SELECT value FROM json_each(?))",
    )
    .bind(Json::of(&keys).get().to_owned())
    .fetch_all(connection)
    .await
    .map_err(error::of)?;
    rows.into_iter().map(Owner::of_row).collect()
}

/// Appends events to the log.
async fn append(
    connection: &mut SqliteConnection,
    events: impl Iterator<Item = &KbaseEvent>,
) -> Result<(), StoreError> {
    let events: Vec<&KbaseEvent> = events.collect();
    for rows in events.chunks(INSERT_ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO kbase_events (website_id, run_id, seq, service, type, payload, created_at) ",
        );
        query.push_values(rows, |mut row, event| {
            row.push_bind(event.website_id.as_str().to_owned())
                .push_bind(event.run_id.to_string())
                .push_bind(number(event.seq))
                .push_bind(event.service.clone())
                .push_bind(event.kind.clone())
                .push_bind(event.payload.get().to_owned())
                .push_bind(StoredTime::of_event(event.created_at, event.seq));
        });
        // the text differs with the number of rows: keeping each would fill the statement cache
        let done = query.build().persistent(false).execute(&mut *connection).await.map_err(error::of)?;
        if done.rows_affected() != rows.len() as u64 {
            return Err(StoreError::Defect("not all events were inserted".to_owned()));
        }
    }
    Ok(())
}
