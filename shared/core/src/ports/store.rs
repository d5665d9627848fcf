//! The store: the truth about runs. Postgres on a fleet, SQLite on a laptop, memory in simulations.
//!
//! Writing goes through a [`Transaction`] only: take runs under a lock, decide, commit all changes or none. Everything
//! else reads committed state. Batch-first: one transaction carries many runs.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::ids::{EventId, PlanId, RunId, WebsiteId};
use crate::json::Json;
use crate::kbase::KbaseEvent;
use crate::plan::Plan;
use crate::run::{Run, RunSummary};
use crate::status::RunStatus;
use crate::time::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// What a caller of the store can do about a failure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone else changed a run in between: take it again and decide anew.
    #[error("run {0} was changed by someone else")]
    Conflict(RunId),
    /// The store cannot be reached or does not answer in time, or the outcome of a commit is unknown: repeat later.
    /// Every transition is idempotent, so repeating is safe.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store is out of space: tell the client, nothing was kept.
    #[error("the store is full: {0}")]
    Full(String),
    /// Stored data cannot be read: page someone.
    #[error("stored data is corrupt in {table}.{column}: {detail}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong, and in which row.
        detail: String,
    },
    /// A defect of ours or of the schema: report it.
    #[error("the store refused the statement: {0}")]
    Defect(String),
}

/// Which runs a transaction takes.
#[derive(Clone, Copy, Debug)]
pub enum Claim<'a> {
    /// None: new runs will be committed, and runs that the caller knows, which only their fences protect.
    Nothing,
    /// These, locked in the order of their ids, waiting for locks. Unknown ids are left out.
    Runs(&'a [RunId]),
    /// Open runs whose `wake_at` has passed, oldest first, at most this many, skipping locked ones.
    Due(usize),
}

/// A run whose diagnosis is to be compared with an earlier one of its website: the newest by another run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousOf {
    /// The run.
    pub run_id: RunId,
    /// Its website.
    pub website_id: WebsiteId,
    /// Diagnoses that were not made before this time do not count: a settled run is not compared with what came after it.
    pub before: Option<Timestamp>,
}

/// One change of a transaction.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new run with its first events.
    Accept {
        /// The run as decided by `Run::start`.
        run: Box<Run>,
        /// Its events, from number 1.
        events: Vec<KbaseEvent>,
        /// The client's key, if it gave one.
        idempotency: Option<Idempotency>,
    },
    /// A taken run with its new events.
    Update {
        /// The run as decided.
        run: Box<Run>,
        /// `last_seq` of the run as it was taken: the fence of this write.
        taken_seq: u64,
        /// The new events, from `taken_seq + 1`.
        events: Vec<KbaseEvent>,
    },
}

/// What makes a submission repeatable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The client's `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of the request, in hexadecimal digits.
    pub request_hash: String,
}

/// What became of one change; in the order of the changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is durable.
    Done,
    /// The idempotency key was used before: nothing was written for this change.
    Duplicate {
        /// The run that the key belongs to.
        run_id: RunId,
        /// Whether that request was the same.
        same_request: bool,
    },
}

/// Takes runs, and commits what was decided about them. Dropping it releases the runs unchanged.
#[async_trait]
pub trait Transaction: Send {
    /// The store's clock, read when the runs were taken.
    fn now(&self) -> Timestamp;

    /// The runs that were taken; the second call gives none. A run whose row cannot be read is left out and logged.
    fn take_runs(&mut self) -> Vec<Run>;

    /// The runs that were asked for by id and are there, but cannot be read, each with the reason: they are damaged,
    /// and not unknown.
    fn unreadable(&self) -> &[(RunId, String)];

    /// Events by identity, in any order; missing ones are left out. Sees committed events.
    async fn events(&mut self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError>;

    /// For each run, the payload of the diagnosis that its own is compared with. Runs without one are left out.
    async fn previous_diagnoses(&mut self, of: &[PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError>;

    /// Writes all changes durably, or none. One run occurs in one change only.
    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError>;
}

/// Which runs to list. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Only with this status.
    pub status: Option<RunStatus>,
    /// Only of this plan.
    pub plan_id: Option<PlanId>,
    /// Only for this website.
    pub website_id: Option<WebsiteId>,
    /// Only for this domain, as it was given at submission.
    pub domain: Option<String>,
    /// Only accepted at or after this.
    pub since: Option<Timestamp>,
    /// Only accepted before this.
    pub until: Option<Timestamp>,
}

/// Which events to list. All given conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only of this website.
    pub website_id: Option<WebsiteId>,
    /// Only of this run.
    pub run_id: Option<RunId>,
    /// Only by this speaker.
    pub service: Option<String>,
    /// Only of this type.
    pub kind: Option<String>,
}

/// A stored version of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPlan {
    /// The plan.
    pub plan: Arc<Plan>,
    /// 1, and one more for each different content under the same id.
    pub version: u32,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// One run in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunListing {
    /// The customer's summary.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// When the run was accepted.
    #[serde(rename = "createdAt")]
    pub created_at: Timestamp,
    /// Its revision.
    pub revision: u32,
}

/// A run as it is stored, readable or not: the auditor's view.
#[derive(Debug)]
pub struct StoredRun {
    /// The run's id as it is stored. The next page begins after it, and it may be no [`RunId`].
    pub key: String,
    /// The run, or why it cannot be read.
    pub run: Result<Run, StoreError>,
    /// Columns beside the state that say something else than the state does.
    pub differing: Vec<&'static str>,
}

/// What one step of [`Store::remove_settled`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Runs that are gone.
    pub runs: u64,
    /// Parts of the log that went as a whole, by name.
    pub parts: Vec<String>,
    /// Whether nothing is left to do for now, or somebody else is doing it.
    pub is_all: bool,
}

/// The store. One value serves the whole process.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens a transaction and takes runs.
    async fn begin(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError>;

    /// One run.
    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError>;

    /// Runs, newest first (by id), after the run `after`, at most `limit`.
    async fn runs(&self, filter: &RunFilter, after: Option<RunId>, limit: usize)
    -> Result<Vec<RunListing>, StoreError>;

    /// Runs that are not settled, by id, after the run `after`, at most `limit`; with `accepted_by` only those that were
    /// accepted then or before: the reconciler's view, who has nothing to look for in the youngest.
    async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError>;

    /// Every run by its id as it is stored, after `after` (in the order of bytes, `""` is before all), at most `limit`.
    /// What cannot be read is told, not left out.
    async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError>;

    /// Ids of runs that have events and no row, after `after` and, if it is given, up to `up_to`, at most `limit`.
    async fn orphans(&self, after: &str, up_to: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError>;

    /// How many runs are not settled; for metrics.
    async fn count_open(&self) -> Result<u64, StoreError>;

    /// Milliseconds until the earliest `wake_at`, 0 if it has passed; `None` if no run is open.
    async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError>;

    /// The store's clock.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Events of a run with a number greater than `after`, in order, at most `limit`.
    async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError>;

    /// Events by identity, in any order; missing ones are left out.
    async fn events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError>;

    /// Events, newest first, before the event `before`, at most `limit`. Newest means by time, then by number and run.
    async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError>;

    /// Stores a plan; the same content under the same id again gives the version that is there.
    async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError>;

    /// The newest version of a plan.
    async fn plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError>;

    /// The newest version of each plan, by id.
    async fn plans(&self) -> Result<Vec<StoredPlan>, StoreError>;

    /// The key with which callback tokens are made: 32 bytes, drawn when the store was created. `fresh` is used if
    /// there is none yet; all dispatchers of one store get the same.
    async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError>;

    /// Makes room for what the next weeks bring, where a store keeps its log by time; gives what was made, for people to
    /// read. It can be repeated, also by several processes at once. If it does not happen nothing is refused or lost:
    /// what is written then cannot be removed as quickly. A store that keeps everything in one place does nothing.
    async fn make_room(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// One step of removing runs that settled longer ago than `keep`, with their events: at most `limit` runs, in one
    /// transaction. Called again until it is all. Several processes may do it at once, and each may die at any point.
    ///
    /// A run that is open is never removed, nor one whose last revision settled later. A store that keeps its log in parts
    /// removes runs part by part: it keeps the others of a part, too, for as long as one of them must stay, and then their
    /// events may be there a little longer than their runs. Whatever referred to a removed run is as if it had never been:
    /// its idempotency key is free, and it is nobody's previous diagnosis.
    async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError>;

    /// Whether commits wait for one another, also those about different runs. Then it is worth deciding one batch while
    /// another is committed; where they do not, that only makes batches smaller.
    fn commits_take_turns(&self) -> bool {
        false
    }

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;
}
