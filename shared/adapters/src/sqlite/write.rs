//! The statements that write, which are run by the thread of [`super::writer`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{Committed, StoreError};
use hermes_core::{Plan, Run, RunId};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::error;
use crate::store::{Batch, Heads, LogRow, Owner, PlanCache, StoredTime, VersionRow, number, text};

/// A batch with its texts. They are made before it is its turn, so that the thread that writes does nothing else.
pub(super) struct Writing {
    batch: Batch,
    /// Of the new runs, in the order of the batch.
    accepted: Vec<Texts>,
    /// Of the changed runs.
    updated: Vec<Texts>,
    /// Plans that this process has not seen in the database yet.
    plans: Vec<Arc<Plan>>,
}

/// What is stored of a run.
struct Texts {
    state: String,
    log: Vec<LogRow>,
}

impl Texts {
    fn of(run: &Run, events: &[KbaseEvent]) -> Self {
        Self { state: text(run.state()), log: LogRow::of(events, Heads::Placed).collect() }
    }
}

impl Writing {
    pub(super) fn of(batch: Batch, known: &PlanCache) -> Self {
        let accepted = batch.accepts.iter().map(|accept| Texts::of(&accept.run, &accept.events)).collect();
        let updated = batch.updates.iter().map(|update| Texts::of(&update.run, &update.events)).collect();
        let plans = batch.accepts.iter().map(|accept| (accept.run.plan().hash().as_str(), accept.run.plan()));
        let unknown: BTreeMap<_, _> = plans.filter(|(hash, _)| known.get(hash).is_none()).collect();
        let plans = unknown.into_values().cloned().collect();
        Self { batch, accepted, updated, plans }
    }

    /// The plans that are stored once this is committed.
    pub(super) fn plans(&self) -> Vec<Arc<Plan>> {
        self.plans.clone()
    }

    /// Writes all of it.
    pub(super) fn write(mut self, connection: &Connection) -> Result<Vec<Committed>, StoreError> {
        self.update(connection)?;
        self.plans.iter().try_for_each(|plan| insert_plan(connection, plan)).map_err(error::of_writing)?;
        let inserted = self.insert(connection).map_err(error::of_writing)?;
        let owners = owners(connection, self.batch.retain_inserted(&inserted))?;
        // a run whose id is taken is found here, before anything is committed
        self.batch.outcome(owners)
    }

    /// Writes runs over the versions that were taken, and appends their events.
    fn update(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql =
            "UPDATE runs SET status = ?, revision = ?, last_seq = ?, started_at = ?, deadline_at = ?, wake_at = ?,
                                   settled_at = ?, state = ?
                   -- the fence: nobody has written since the run was taken
                   WHERE run_id = ? AND last_seq = ?";
        let mut statement = connection.prepare_cached(sql).map_err(error::of_writing)?;
        for (update, texts) in self.batch.updates.iter().zip(&self.updated) {
            let state = update.run.state();
            let updated = statement.execute(params![
                state.status.as_str(),
                state.revision,
                number(state.last_seq),
                StoredTime::exact(state.started_at),
                StoredTime::exact(state.deadline_at),
                state.wake_at.map(StoredTime::exact),
                state.settled_at.map(StoredTime::exact),
                texts.state,
                state.run_id.to_string(),
                number(update.taken_seq),
            ]);
            if updated.map_err(error::of_writing)? == 0 {
                return Err(StoreError::Conflict(state.run_id));
            }
            append(connection, &texts.log).map_err(error::of_writing)?;
        }
        Ok(())
    }

    /// Inserts new runs and their events; gives those that were inserted: neither their key nor their id was there.
    fn insert(&self, connection: &Connection) -> rusqlite::Result<HashSet<RunId>> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO runs (run_id, website_id, domain, plan_id, plan_hash, status, revision, last_seq, created_at,
                               started_at, deadline_at, wake_at, settled_at, idempotency_key, request_hash, state)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )?;
        let mut inserted = HashSet::with_capacity(self.accepted.len());
        for (accept, texts) in self.batch.accepts.iter().zip(&self.accepted) {
            let (plan, state) = (accept.run.plan(), accept.run.state());
            let idempotency = accept.idempotency.as_ref();
            let rows = statement.execute(params![
                state.run_id.to_string(),
                state.website_id.as_str(),
                state.domain.as_str(),
                plan.id().as_str(),
                plan.hash().as_str(),
                state.status.as_str(),
                state.revision,
                number(state.last_seq),
                StoredTime::exact(state.created_at),
                StoredTime::exact(state.started_at),
                StoredTime::exact(state.deadline_at),
                state.wake_at.map(StoredTime::exact),
                state.settled_at.map(StoredTime::exact),
                idempotency.map(|idempotency| idempotency.key.as_str()),
                idempotency.map(|idempotency| idempotency.request_hash.as_str()),
                texts.state,
            ])?;
            if rows == 1 {
                inserted.insert(state.run_id);
                append(connection, &texts.log)?;
            }
        }
        Ok(inserted)
    }
}

fn append(connection: &Connection, log: &[LogRow]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO kbase_log (run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    for LogRow { run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads } in log {
        statement.execute(params![run_id, first_seq, last_seq, website_id, created_at, diagnosed, heads, payloads])?;
    }
    Ok(())
}

/// Stores a plan under its content, unless it is there.
fn insert_plan(connection: &Connection, plan: &Plan) -> rusqlite::Result<()> {
    let sql = "INSERT INTO plans (hash, frozen) VALUES (?, ?) ON CONFLICT DO NOTHING";
    connection.prepare_cached(sql)?.execute([plan.hash().as_str(), plan.frozen()]).map(drop)
}

/// Whose these idempotency keys are.
fn owners(connection: &Connection, keys: Vec<String>) -> Result<HashMap<String, Owner>, StoreError> {
    let statement =
        connection.prepare_cached("SELECT idempotency_key, run_id, request_hash FROM runs WHERE idempotency_key = ?");
    let mut statement = statement.map_err(error::of_writing)?;
    let mut owners = HashMap::with_capacity(keys.len());
    for key in keys {
        let row = statement.query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        if let Some(row) = row.optional().map_err(error::of_writing)? {
            let (key, owner) = Owner::of_row(row)?;
            owners.insert(key, owner);
        }
    }
    Ok(owners)
}

/// Stores a plan, and that its id has this content from now on, unless it had it before; gives that version.
pub(super) fn put_plan(connection: &Connection, plan: &Plan, now: StoredTime) -> Result<VersionRow, StoreError> {
    let put = || {
        insert_plan(connection, plan)?;
        let (id, hash) = (plan.id().as_str(), plan.hash().as_str());
        let sql = "INSERT INTO plan_versions (plan_id, version, hash, created_at)
                   SELECT ?1, 1 + coalesce(max(version), 0), ?2, ?3 FROM plan_versions WHERE plan_id = ?1
                   ON CONFLICT (plan_id, hash) DO NOTHING";
        connection.prepare_cached(sql)?.execute(params![id, hash, now])?;
        let sql = "SELECT hash, version, created_at FROM plan_versions WHERE plan_id = ? AND hash = ?";
        let row = |row: &Row<'_>| Ok(VersionRow::new(row.get(0)?, row.get(1)?, row.get(2)?));
        connection.prepare_cached(sql)?.query_row([id, hash], row)
    };
    put().map_err(error::of_writing)
}

/// The key of this database, which is `fresh` if it has none yet.
pub(super) fn callback_key(connection: &Connection, fresh: &[u8], now: StoredTime) -> Result<Vec<u8>, StoreError> {
    let key = || {
        let sql = "INSERT INTO instance (id, callback_key, created_at) VALUES (1, ?, ?) ON CONFLICT DO NOTHING";
        connection.execute(sql, params![fresh, now])?;
        connection.query_row("SELECT callback_key FROM instance WHERE id = 1", (), |row| row.get(0))
    };
    key().map_err(error::of_writing)
}
