//! The store in memory: for simulations and tests. Same semantics as the others, fences and locks included; nothing
//! outlives the value. It has no clock of its own: the owner gives one.

mod data;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::store::{
    Change, Claim, Committed, EventFilter, PreviousOf, Removed, RunFilter, RunListing, Store, StoreError, StoredPlan,
    StoredRun, Transaction,
};
use hermes_core::{EventId, Json, Plan, PlanId, Run, RunId, Timestamp};
use tokio::sync::Notify;

use crate::store::Batch;
use data::Data;

/// A clock that the owner of the store turns.
pub type MemoryClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The store in memory. Clones share it, as several dispatchers share a database.
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    clock: MemoryClock,
    data: Mutex<Data>,
    /// Told whenever runs are unlocked.
    released: Notify,
}

impl MemoryStore {
    /// An empty store under this clock.
    #[must_use]
    pub fn new(clock: MemoryClock) -> Self {
        Self { inner: Arc::new(Inner { clock, data: Mutex::default(), released: Notify::new() }) }
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.inner.data()
    }
}

impl Inner {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until none of the runs is locked and locks them all at once, so that nobody waits for each other.
    async fn lock(&self, ids: &[RunId]) -> Vec<Run> {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            // from here on no release is missed
            released.as_mut().enable();
            if let Some(runs) = self.data().lock(ids) {
                return runs;
            }
            released.await;
        }
    }
}

/// Taken runs; dropping it unlocks them.
struct Taken {
    store: Arc<Inner>,
    now: Timestamp,
    locked: Vec<RunId>,
    runs: Vec<Run>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.store.data().unlock(&self.locked);
        self.store.released.notify_waiters();
    }
}

#[async_trait]
impl Transaction for Taken {
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
        Ok(self.store.data().events(wanted))
    }

    async fn previous_diagnoses(&mut self, of: &[PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError> {
        let data = self.store.data();
        let previous = |of: &PreviousOf| data.previous_diagnosis(of).map(|payload| (of.run_id, payload));
        Ok(of.iter().filter_map(previous).collect())
    }

    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        let batch = Batch::of(changes)?;
        self.store.data().commit(batch)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn begin(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError> {
        let store = Arc::clone(&self.inner);
        let runs = match claim {
            Claim::Nothing => Vec::new(),
            Claim::Runs(ids) => store.lock(ids).await,
            Claim::Due(limit) => {
                let now = (store.clock)();
                store.data().lock_due(now, limit)
            }
        };
        // read after the locks: no event of another transaction is newer
        let (now, locked) = ((store.clock)(), runs.iter().map(Run::id).collect());
        Ok(Box::new(Taken { store, now, locked, runs }))
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        Ok(self.data().run(id).cloned())
    }

    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        Ok(self.data().list(filter, after, limit))
    }

    async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        Ok(self.data().open_runs(after, accepted_by, limit))
    }

    async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError> {
        let stored = |run: Run| StoredRun { key: run.id().to_string(), run: Ok(run), differing: Vec::new() };
        Ok(self.data().stored_runs(after, limit).into_iter().map(stored).collect())
    }

    async fn orphans(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, StoreError> {
        // events are only written together with their run
        Ok(Vec::new())
    }

    async fn count_open(&self) -> Result<u64, StoreError> {
        Ok(self.data().count_open())
    }

    async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        let now = (self.inner.clock)();
        Ok(self.data().next_wake().map(|at| at.since_ms(now)))
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok((self.inner.clock)())
    }

    async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        Ok(self.data().run_events(id, after, limit))
    }

    async fn events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        Ok(self.data().events(wanted))
    }

    async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError> {
        Ok(self.data().kbase(filter, before, limit))
    }

    async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        let now = (self.inner.clock)();
        Ok(self.data().put_plan(plan, now))
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        Ok(self.data().newest_plan(id))
    }

    async fn plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        Ok(self.data().newest_plans())
    }

    async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        Ok(self.data().callback_key(fresh))
    }

    async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        let before = (self.inner.clock)().minus_ms(u64::try_from(keep.as_millis()).unwrap_or(u64::MAX));
        let runs = self.data().remove_settled(before, limit);
        Ok(Removed { runs, is_all: runs == 0, ..Removed::default() })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
