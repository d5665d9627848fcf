//! Rows as the databases give them, and what they mean.

use std::sync::Arc;

use hermes_core::ports::store::{RunListing, StoreError, StoredPlan, StoredRun};
use hermes_core::run::RunState;
use hermes_core::{Plan, Run, Timestamp};
use serde::de::DeserializeOwned;

use super::StoredTime;

/// A row of `runs`, without the columns that repeat what the state has.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct RunRow {
    pub(crate) run_id: String,
    pub(crate) plan_hash: String,
    pub(crate) last_seq: i64,
    pub(crate) state: String,
}

/// A whole row of `runs`, for the auditor. Times are text, so that one that is none does not spoil its page.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct AuditRow {
    run_id: String,
    website_id: String,
    domain: String,
    plan_id: String,
    pub(crate) plan_hash: String,
    status: String,
    revision: i64,
    last_seq: i64,
    created_at: Option<String>,
    started_at: Option<String>,
    deadline_at: Option<String>,
    wake_at: Option<String>,
    settled_at: Option<String>,
    state: String,
}

/// A row of `plans`.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct PlanRow {
    pub(crate) hash: String,
    pub(crate) frozen: String,
}

/// A row of `plan_versions`.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct VersionRow {
    pub(crate) hash: String,
    version: i32,
    created_at: StoredTime,
}

fn corrupt(
    table: &'static str,
    column: &'static str,
    row: impl std::fmt::Display,
    why: impl std::fmt::Display,
) -> StoreError {
    StoreError::Corrupt { table, column, detail: format!("{why}, in row {row}") }
}

fn json<T: DeserializeOwned>(
    table: &'static str,
    column: &'static str,
    row: &str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(table, column, row, error))
}

/// A number of ours as databases take it. Numbers of events and versions stay far below the limit.
pub(crate) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A limit or count as databases take it.
pub(crate) fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl RunRow {
    /// The run; `plan` is the one with the row's `plan_hash`.
    pub(crate) fn into_run(self, plan: Option<Arc<Plan>>) -> Result<Run, StoreError> {
        let plan = plan.ok_or_else(|| corrupt("runs", "plan_hash", &self.run_id, "the plan is not stored"))?;
        let state: RunState = json("runs", "state", &self.run_id, &self.state)?;
        if state.run_id.to_string() != self.run_id || number(state.last_seq) != self.last_seq {
            return Err(corrupt("runs", "state", &self.run_id, "it does not fit run_id and last_seq"));
        }
        Run::restore(plan, state).map_err(|error| corrupt("runs", "state", &self.run_id, error.detail))
    }
}

impl AuditRow {
    /// The run as it is stored; `plan` is the one with the row's `plan_hash`.
    pub(crate) fn into_stored(self, plan: Option<Arc<Plan>>) -> StoredRun {
        let row = RunRow {
            run_id: self.run_id.clone(),
            plan_hash: self.plan_hash.clone(),
            last_seq: self.last_seq,
            state: self.state.clone(),
        };
        let run = row.into_run(plan);
        let differing = run.as_ref().map(|run| self.differing(run)).unwrap_or_default();
        StoredRun { key: self.run_id, run, differing }
    }

    /// The columns that say something else than the state, which is what the engine goes by.
    fn differing(&self, run: &Run) -> Vec<&'static str> {
        let state = run.state();
        let same_time = |column: &Option<String>, at: Option<Timestamp>| *column == at.map(|at| at.to_string());
        let columns = [
            ("website_id", self.website_id == state.website_id.as_str()),
            ("domain", self.domain == state.domain.as_str()),
            ("plan_id", self.plan_id == run.plan().id().as_str()),
            ("status", self.status == state.status.as_str()),
            ("revision", self.revision == i64::from(state.revision)),
            ("created_at", same_time(&self.created_at, Some(state.created_at))),
            ("started_at", same_time(&self.started_at, Some(state.started_at))),
            ("deadline_at", same_time(&self.deadline_at, Some(state.deadline_at))),
            ("wake_at", same_time(&self.wake_at, state.wake_at)),
            ("settled_at", same_time(&self.settled_at, state.settled_at)),
        ];
        columns.into_iter().filter(|(_, same)| !same).map(|(column, _)| column).collect()
    }
}

/// What a list shows of a run.
pub(crate) fn listing(run: &Run) -> RunListing {
    RunListing { summary: run.summary(), created_at: run.state().created_at, revision: run.state().revision }
}

impl PlanRow {
    pub(crate) fn into_plan(self) -> Result<Arc<Plan>, StoreError> {
        let plan = Plan::thaw(&self.frozen, &self.hash);
        plan.map(Arc::new).map_err(|error| corrupt("plans", "frozen", &self.hash, error))
    }
}

impl VersionRow {
    /// A row with these columns.
    pub(crate) const fn new(hash: String, version: i32, created_at: StoredTime) -> Self {
        Self { hash, version, created_at }
    }

    /// The stored plan; `plan` is the one with the row's hash.
    pub(crate) fn into_stored(self, plan: Option<Arc<Plan>>) -> Result<StoredPlan, StoreError> {
        const TABLE: &str = "plan_versions";
        let plan = plan.ok_or_else(|| corrupt(TABLE, "hash", &self.hash, "the plan is not stored"))?;
        let version = u32::try_from(self.version).map_err(|error| corrupt(TABLE, "version", &self.hash, error))?;
        Ok(StoredPlan { plan, version, created_at: self.created_at.timestamp() })
    }
}
