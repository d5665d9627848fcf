//! The store as one process sees it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{
    Change, Claim, Committed, EventFilter, PreviousOf, Removed, RunFilter, RunListing, Store, StoreError, StoredPlan,
    StoredRun, Transaction,
};
use hermes_core::{EventId, Json, Plan, PlanId, Run, RunId, Timestamp};

use super::defect::{Defect, write_over};
use super::process::{OpenTransaction, Process, lock};

/// A database gives up waiting for a lock after this long.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// The store, seen from a process.
pub(super) struct SeenStore(pub(super) Arc<Process>);

impl SeenStore {
    fn store(&self) -> &dyn Store {
        &self.0.world.store
    }

    async fn open(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError> {
        let opened = tokio::time::timeout(LOCK_TIMEOUT, self.store().begin(claim)).await;
        let mut inner =
            opened.unwrap_or_else(|_| Err(StoreError::Unavailable("the lock was not released".to_owned())))?;
        let (now, runs) = (inner.now(), inner.take_runs());
        let mut seen = SeenTransaction { process: Arc::clone(&self.0), now, runs, open: OpenTransaction::default() };
        if self.0.world.defect == Defect::NoFence && !seen.runs.is_empty() {
            // Unlocked at once: whoever comes next takes the same.
            drop(inner);
            inner = self.store().begin(Claim::Nothing).await?;
        }
        seen.open = Arc::new(Mutex::new(Some(inner)));
        self.0.opened(&seen.open);
        Ok(Box::new(seen))
    }
}

struct SeenTransaction {
    process: Arc<Process>,
    now: Timestamp,
    runs: Vec<Run>,
    open: OpenTransaction,
}

impl Drop for SeenTransaction {
    fn drop(&mut self) {
        drop(lock(&self.open).take());
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the server has ended the transaction".to_owned())
}

impl SeenTransaction {
    /// Takes the transaction, if the store has not ended it.
    fn take(&self) -> Result<Box<dyn Transaction>, StoreError> {
        lock(&self.open).take().ok_or_else(ended)
    }

    async fn read_events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        let mut inner = self.take()?;
        let events = inner.events(wanted).await;
        *lock(&self.open) = Some(inner);
        events
    }

    async fn read_diagnoses(&self, of: &[PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError> {
        let mut inner = self.take()?;
        let diagnoses = inner.previous_diagnoses(of).await;
        *lock(&self.open) = Some(inner);
        diagnoses
    }

    async fn write(&self, mut changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        let world = &self.process.world;
        let ids: Vec<RunId> = changes.iter().map(id_of).collect();
        let mut inner = self.take()?;
        if world.defect == Defect::LostCommits && !changes.is_empty() && world.strikes(20) {
            return Ok(changes.iter().map(|_| Committed::Done).collect());
        }
        if world.defect == Defect::NoFence {
            inner = world.store.begin(Claim::Runs(&ids)).await?;
            let current = inner.take_runs();
            changes.iter_mut().for_each(|change| write_over(change, &current));
        }
        let committed = inner.commit(changes).await?;
        let written = ids.iter().zip(&committed).filter(|(_, committed)| **committed == Committed::Done);
        let written: Vec<RunId> = written.map(|(id, _)| *id).collect();
        world.committed(&self.process.name, &written).await;
        Ok(committed)
    }
}

fn id_of(change: &Change) -> RunId {
    match change {
        Change::Accept { run, .. } | Change::Update { run, .. } => run.id(),
    }
}

#[async_trait]
impl Transaction for SeenTransaction {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn unreadable(&self) -> &[(RunId, String)] {
        &[]
    }

    fn take_runs(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.runs)
    }

    async fn events(&mut self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        self.process.on_store(self.read_events(wanted)).await
    }

    async fn previous_diagnoses(&mut self, of: &[PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError> {
        self.process.on_store(self.read_diagnoses(of)).await
    }

    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        self.process.on_store(self.write(changes)).await
    }
}

#[async_trait]
impl Store for SeenStore {
    async fn begin(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError> {
        self.0.on_store(self.open(claim)).await
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.0.on_store(self.store().run(id)).await
    }

    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        self.0.on_store(self.store().runs(filter, after, limit)).await
    }

    async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        self.0.on_store(self.store().open_runs(after, accepted_by, limit)).await
    }

    async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError> {
        self.0.on_store(self.store().stored_runs(after, limit)).await
    }

    async fn orphans(&self, after: &str, up_to: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.0.on_store(self.store().orphans(after, up_to, limit)).await
    }

    async fn count_open(&self) -> Result<u64, StoreError> {
        self.0.on_store(self.store().count_open()).await
    }

    async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        self.0.on_store(self.store().next_wake_ms()).await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.0.on_store(self.store().now()).await
    }

    async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        self.0.on_store(self.store().run_events(id, after, limit)).await
    }

    async fn events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        self.0.on_store(self.store().events(wanted)).await
    }

    async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError> {
        self.0.on_store(self.store().kbase(filter, before, limit)).await
    }

    async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        self.0.on_store(self.store().put_plan(plan)).await
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        self.0.on_store(self.store().plan(id)).await
    }

    async fn plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        self.0.on_store(self.store().plans()).await
    }

    async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        self.0.on_store(self.store().remove_settled(keep, limit)).await
    }

    async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.0.on_store(self.store().callback_key(fresh)).await
    }

    fn commits_take_turns(&self) -> bool {
        // some dispatchers of each kind
        self.0.world.chance.once_in(2)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.0.on_store(self.store().ping()).await
    }
}
