//! The engine's transaction: take runs under a row lock, commit what was decided. Set-based: the number of statements
//! does not depend on the number of runs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{Change, Claim, Committed, StoreError, Transaction};
use hermes_core::{EventId, Json, Plan, Run, RunId, Timestamp, WebsiteId};
use sqlx::postgres::PgConnection;

use super::{Inner, error, read};
use crate::store::{Accept, Batch, Owner, Restored, RunRow, StoredTime, Update, count, number};

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
        Claim::Nothing => (store.now().await?, Restored::default(), None),
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

    async fn previous_diagnoses(&mut self, of: &[(RunId, WebsiteId)]) -> Result<Vec<(RunId, Json)>, StoreError> {
        let link = &self.store.link;
        match &mut self.write {
            Some(write) => link.within(read::previous_diagnoses(&mut **write, of)).await,
            None => link.within(read::previous_diagnoses(&link.pool(), of)).await,
        }
    }

    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        let Self { store, write, .. } = *self;
        let batch = Batch::of(changes)?;
        store.link.within(commit(&store, write, batch)).await
    }
}

async fn commit(store: &Inner, write: Option<Write>, mut batch: Batch) -> Result<Vec<Committed>, StoreError> {
    let mut write = match write {
        Some(write) => write,
        None => store.link.pool().begin().await.map_err(error::of)?,
    };
    let plans: Vec<Arc<Plan>> = batch.accepts.iter().map(|accept| Arc::clone(accept.run.plan())).collect();
    update(&mut write, &batch.updates).await?;
    insert_plans(store, &mut write, &plans).await?;
    let inserted = insert(&mut write, &batch.accepts).await?;
    let keys = batch.retain_inserted(&inserted);
    let owners = owners(&mut write, keys).await?;
    append(&mut write, &batch).await?;
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

/// Writes runs over the versions that were taken.
async fn update(connection: &mut PgConnection, updates: &[Update]) -> Result<(), StoreError> {
    if updates.is_empty() {
        return Ok(());
    }
    let states = || updates.iter().map(|update| update.run.state());
    let written: Vec<String> = sqlx::query_scalar(
        "UPDATE runs SET status = new.status, revision = new.revision, last_seq = new.last_seq,
                         started_at = new.started_at, deadline_at = new.deadline_at, wake_at = new.wake_at,
                         settled_at = new.settled_at, summary = new.summary::json, state = new.state::json
         FROM UNNEST($1::text[], $2::bigint[], $3::text[], $4::integer[], $5::bigint[], $6::timestamptz[],
                     $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[])
              AS new (run_id, taken_seq, status, revision, last_seq, started_at,
                      deadline_at, wake_at, settled_at, summary, state)
         -- the fence: nobody has written since the run was taken
         WHERE runs.run_id = new.run_id AND runs.last_seq = new.taken_seq
         RETURNING runs.run_id",
    )
    .bind(states().map(|state| state.run_id.to_string()).collect::<Vec<_>>())
    .bind(updates.iter().map(|update| number(update.taken_seq)).collect::<Vec<_>>())
    .bind(states().map(|state| state.status.as_str()).collect::<Vec<_>>())
    .bind(states().map(|state| revision(state.revision)).collect::<Vec<_>>())
    .bind(states().map(|state| number(state.last_seq)).collect::<Vec<_>>())
    .bind(states().map(|state| StoredTime::exact(state.started_at)).collect::<Vec<_>>())
    .bind(states().map(|state| StoredTime::exact(state.deadline_at)).collect::<Vec<_>>())
    .bind(states().map(|state| state.wake_at.map(StoredTime::exact)).collect::<Vec<_>>())
    .bind(states().map(|state| state.settled_at.map(StoredTime::exact)).collect::<Vec<_>>())
    .bind(updates.iter().map(|update| text(&update.run.summary())).collect::<Vec<_>>())
    .bind(states().map(text).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
    .map_err(error::of)?;
    if written.len() == updates.len() {
        return Ok(());
    }
    let written: HashSet<String> = written.into_iter().collect();
    let lost = states().find(|state| !written.contains(&state.run_id.to_string()));
    Err(lost.map_or_else(
        || StoreError::Defect("an update wrote other runs than its own".to_owned()),
        |state| StoreError::Conflict(state.run_id),
    ))
}

/// Plans that this process has not seen in the database yet.
async fn insert_plans(store: &Inner, connection: &mut PgConnection, plans: &[Arc<Plan>]) -> Result<(), StoreError> {
    let fresh: HashMap<&str, &str> = plans
        .iter()
        .map(|plan| (plan.hash().as_str(), plan.frozen()))
        .filter(|(hash, _)| store.plans.get(hash).is_none())
        .collect();
    if fresh.is_empty() {
        return Ok(());
    }
    // in one order everywhere: two transactions may insert the same plans
    let mut fresh: Vec<(&str, &str)> = fresh.into_iter().collect();
    fresh.sort_unstable();
    let (hashes, texts): (Vec<&str>, Vec<&str>) = fresh.into_iter().unzip();
    sqlx::query("INSERT INTO plans (hash, frozen) SELECT * FROM UNNEST($1::text[], $2::text[]) ON CONFLICT DO NOTHING")
        .bind(hashes)
        .bind(texts)
        .execute(connection)
        .await
        .map_err(error::of)?;
    Ok(())
}

/// Inserts new runs; gives those that were inserted: neither their key nor their id was there.
async fn insert(connection: &mut PgConnection, accepts: &[Accept]) -> Result<HashSet<RunId>, StoreError> {
    if accepts.is_empty() {
        return Ok(HashSet::new());
    }
    let states = || accepts.iter().map(|accept| accept.run.state());
    let plans = || accepts.iter().map(|accept| accept.run.plan());
    let idempotency = || accepts.iter().map(|accept| accept.idempotency.as_ref());
    let inserted: Vec<String> = sqlx::query_scalar(
        "INSERT INTO runs (run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at,
                           started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, summary, state)
         SELECT run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at,
                started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, summary::json, state::json
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[],
                     $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
                     $13::timestamptz[], $14::text[], $15::text[], $16::text[], $17::text[])
              AS new (run_id, website_id, domain, plan_id, plan_hash, status, revision,
                      last_seq, created_at, started_at, deadline_at, wake_at,
                      settled_at, idempotency_key, request_hash, summary, state)
         -- waits for a transaction that is inserting the same key, and yields to it if it commits
         ON CONFLICT DO NOTHING
         RETURNING run_id",
    )
    .bind(states().map(|state| state.run_id.to_string()).collect::<Vec<_>>())
    .bind(states().map(|state| state.website_id.as_str()).collect::<Vec<_>>())
    .bind(states().map(|state| state.domain.as_str()).collect::<Vec<_>>())
    .bind(plans().map(|plan| plan.id().as_str()).collect::<Vec<_>>())
    .bind(plans().map(|plan| plan.hash().as_str()).collect::<Vec<_>>())
    .bind(states().map(|state| state.status.as_str()).collect::<Vec<_>>())
    .bind(states().map(|state| revision(state.revision)).collect::<Vec<_>>())
    .bind(states().map(|state| number(state.last_seq)).collect::<Vec<_>>())
    .bind(states().map(|state| StoredTime::exact(state.created_at)).collect::<Vec<_>>())
    .bind(states().map(|state| StoredTime::exact(state.started_at)).collect::<Vec<_>>())
    .bind(states().map(|state| StoredTime::exact(state.deadline_at)).collect::<Vec<_>>())
    .bind(states().map(|state| state.wake_at.map(StoredTime::exact)).collect::<Vec<_>>())
    .bind(states().map(|state| state.settled_at.map(StoredTime::exact)).collect::<Vec<_>>())
    .bind(idempotency().map(|one| one.map(|one| one.key.as_str())).collect::<Vec<_>>())
    .bind(idempotency().map(|one| one.map(|one| one.request_hash.as_str())).collect::<Vec<_>>())
    .bind(accepts.iter().map(|accept| text(&accept.run.summary())).collect::<Vec<_>>())
    .bind(states().map(text).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
    .map_err(error::of)?;
    let ids: Result<HashSet<RunId>, _> = inserted.iter().map(|id| id.parse()).collect();
    ids.map_err(|error| StoreError::Defect(error.to_string()))
}

async fn owners(connection: &mut PgConnection, keys: Vec<String>) -> Result<HashMap<String, Owner>, StoreError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String, String)> =
        sqlx::query_as("SELECT idempotency_key, run_id, request_hash FROM runs WHERE idempotency_key = ANY ($1)")
            .bind(keys)
            .fetch_all(connection)
            .await
            .map_err(error::of)?;
    rows.into_iter().map(Owner::of_row).collect()
}

/// Appends the batch's events to the log.
async fn append(connection: &mut PgConnection, batch: &Batch) -> Result<(), StoreError> {
    let events: Vec<&KbaseEvent> = batch.events().collect();
    if events.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&KbaseEvent) -> &str| events.iter().map(|event| of(event)).collect::<Vec<_>>();
    let done = sqlx::query(
        "INSERT INTO kbase_events (website_id, run_id, seq, service, type, payload, created_at)
         SELECT website_id, run_id, seq, service, type, payload::json, created_at
         FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
              AS new (website_id, run_id, seq, service, type, payload, created_at)",
    )
    .bind(column(|event| event.website_id.as_str()))
    .bind(events.iter().map(|event| event.run_id.to_string()).collect::<Vec<_>>())
    .bind(events.iter().map(|event| number(event.seq)).collect::<Vec<_>>())
    .bind(column(|event| &event.service))
    .bind(column(|event| &event.kind))
    .bind(column(|event| event.payload.get()))
    .bind(events.iter().map(|event| StoredTime::of_event(event.created_at, event.seq)).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map_err(error::of)?;
    if done.rows_affected() == events.len() as u64 {
        return Ok(());
    }
    Err(StoreError::Defect("not all events were inserted".to_owned()))
}

fn text<T: serde::Serialize>(value: &T) -> String {
    Json::of(value).get().to_owned()
}

/// A revision as the database counts it; people press the button far fewer times.
fn revision(revision: u32) -> i32 {
    i32::try_from(revision).unwrap_or(i32::MAX)
}
