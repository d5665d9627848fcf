//! A store and a queue of maps, good for one dispatcher, that can be switched off or made to hang.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::queue::{DeliveredReport, JobQueue, QueueDepth, QueueError};
use hermes_core::ports::store::{
    Change, Claim, Committed, EventFilter, RunFilter, RunListing, Store, StoreError, StoredPlan, Transaction,
};
use hermes_core::run::{Jitter, JobOrder};
use hermes_core::wire::{Job, JobId};
use hermes_core::{EventId, Json, Plan, PlanId, Run, RunId, Timestamp, WebsiteId, WorkerKey};
use tokio::time::Instant;

/// 2025-01-27T10:00:00Z: the clock's first reading.
const BEGIN_MS: i64 = 1_737_972_000_000;

/// Draws numbers in order.
#[derive(Default)]
pub(super) struct FakeEntropy(AtomicU64);

impl Entropy for FakeEntropy {
    fn identity(&self) -> uuid::Uuid {
        uuid::Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1)
    }

    fn jitter(&self) -> Jitter {
        Jitter::new(0.0)
    }

    fn key(&self) -> [u8; 32] {
        [7; 32]
    }
}

#[derive(Default)]
struct Tables {
    runs: BTreeMap<RunId, Run>,
    events: Vec<KbaseEvent>,
    keys: HashMap<String, (String, RunId)>,
    plans: Vec<StoredPlan>,
}

/// The store; clones share it.
#[derive(Clone)]
pub(super) struct FakeStore {
    tables: Arc<Mutex<Tables>>,
    begun: Instant,
    pub(super) down: Arc<AtomicBool>,
    pub(super) hanging: Arc<AtomicBool>,
    pub(super) panicking: Arc<AtomicBool>,
}

impl FakeStore {
    pub(super) fn new() -> Self {
        Self {
            tables: Arc::default(),
            begun: Instant::now(),
            down: Arc::default(),
            hanging: Arc::default(),
            panicking: Arc::default(),
        }
    }

    /// The clock follows tokio's, which tests may pause.
    fn clock(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN_MS).plus_ms(self.begun.elapsed().as_millis().try_into().expect("small"))
    }

    async fn tables(&self) -> Result<MutexGuard<'_, Tables>, StoreError> {
        assert!(!self.panicking.load(Ordering::SeqCst), "a planted defect");
        if self.hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("s3cret connection string".to_owned()));
        }
        Ok(self.tables.lock().expect("not poisoned"))
    }
}

struct FakeTransaction {
    store: FakeStore,
    now: Timestamp,
    taken: Vec<Run>,
}

#[async_trait]
impl Transaction for FakeTransaction {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn take_runs(&mut self) -> Vec<Run> {
        std::mem::take(&mut self.taken)
    }

    async fn events(&mut self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        Store::events(&self.store, wanted).await
    }

    async fn previous_diagnoses(&mut self, _: &[(RunId, WebsiteId)]) -> Result<Vec<(RunId, Json)>, StoreError> {
        Ok(Vec::new())
    }

    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        let mut tables = self.store.tables().await?;
        for change in &changes {
            if let Change::Update { run, taken_seq, .. } = change
                && tables.runs[&run.id()].state().last_seq != *taken_seq
            {
                return Err(StoreError::Conflict(run.id()));
            }
        }
        Ok(changes.into_iter().map(|change| tables.write(change)).collect())
    }
}

impl Tables {
    fn write(&mut self, change: Change) -> Committed {
        let (run, events) = match change {
            Change::Accept { run, events, idempotency } => {
                if let Some(given) = idempotency {
                    if let Some((hash, run_id)) = self.keys.get(&given.key) {
                        return Committed::Duplicate { run_id: *run_id, same_request: *hash == given.request_hash };
                    }
                    self.keys.insert(given.key, (given.request_hash, run.id()));
                }
                (run, events)
            }
            Change::Update { run, events, .. } => (run, events),
        };
        self.runs.insert(run.id(), *run);
        self.events.extend(events);
        Committed::Done
    }
}

fn is<T: PartialEq>(wanted: &Option<T>, found: &T) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == found)
}

#[async_trait]
impl Store for FakeStore {
    async fn begin(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError> {
        let now = self.clock();
        let tables = self.tables().await?;
        let taken = match claim {
            Claim::Nothing => Vec::new(),
            Claim::Runs(ids) => ids.iter().filter_map(|id| tables.runs.get(id).cloned()).collect(),
            Claim::Due(max) => {
                let due = |run: &&Run| run.state().wake_at.is_some_and(|at| at <= now);
                tables.runs.values().filter(due).take(max).cloned().collect()
            }
        };
        Ok(Box::new(FakeTransaction { store: self.clone(), now, taken }))
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        Ok(self.tables().await?.runs.get(&id).cloned())
    }

    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        let tables = self.tables().await?;
        let fits = |run: &&Run| {
            let state = run.state();
            is(&filter.status, &state.status)
                && is(&filter.plan_id, run.plan().id())
                && is(&filter.website_id, &state.website_id)
                && is(&filter.domain, &state.domain.to_string())
                && filter.since.is_none_or(|since| state.created_at >= since)
                && filter.until.is_none_or(|until| state.created_at < until)
                && after.is_none_or(|after| run.id() < after)
        };
        let listing = |run: &Run| RunListing {
            summary: run.summary(),
            created_at: run.state().created_at,
            revision: run.state().revision,
        };
        Ok(tables.runs.values().rev().filter(fits).take(limit).map(listing).collect())
    }

    async fn open_runs(&self, after: Option<RunId>, limit: usize) -> Result<Vec<Run>, StoreError> {
        let tables = self.tables().await?;
        let open = |run: &&Run| !run.status().is_settled() && after.is_none_or(|after| run.id() > after);
        Ok(tables.runs.values().filter(open).take(limit).cloned().collect())
    }

    async fn count_open(&self) -> Result<u64, StoreError> {
        let tables = self.tables().await?;
        Ok(tables.runs.values().filter(|run| !run.status().is_settled()).count() as u64)
    }

    async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        let now = self.clock();
        let tables = self.tables().await?;
        Ok(tables.runs.values().filter_map(|run| run.state().wake_at).min().map(|at| at.since_ms(now)))
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.tables().await.map(|_| self.clock())
    }

    async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        let tables = self.tables().await?;
        let fits = |event: &&KbaseEvent| event.run_id == id && event.seq > after;
        Ok(tables.events.iter().filter(fits).take(limit).cloned().collect())
    }

    async fn events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        let tables = self.tables().await?;
        Ok(tables.events.iter().filter(|event| wanted.contains(&event.event_id)).cloned().collect())
    }

    async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError> {
        let fits = |event: &&KbaseEvent| {
            is(&filter.website_id, &event.website_id)
                && is(&filter.run_id, &event.run_id)
                && is(&filter.service, &event.service)
                && is(&filter.kind, &event.kind)
                && before.is_none_or(|before| (event.created_at, event.event_id) < before)
        };
        let mut events: Vec<KbaseEvent> = self.tables().await?.events.iter().filter(fits).cloned().collect();
        events.sort_by_key(|event| std::cmp::Reverse((event.created_at, event.event_id)));
        events.truncate(limit);
        Ok(events)
    }

    async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        if let Some(newest) = self.plan(plan.id()).await?
            && newest.plan.hash() == plan.hash()
        {
            return Ok(newest);
        }
        let version = self.plan(plan.id()).await?.map_or(1, |newest| newest.version + 1);
        let stored = StoredPlan { plan: Arc::new(plan.clone()), version, created_at: self.clock() };
        self.tables().await?.plans.push(stored.clone());
        Ok(stored)
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        Ok(self.tables().await?.plans.iter().rev().find(|stored| stored.plan.id() == id).cloned())
    }

    async fn plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        let tables = self.tables().await?;
        let newest: BTreeMap<PlanId, StoredPlan> =
            tables.plans.iter().map(|stored| (stored.plan.id().clone(), stored.clone())).collect();
        Ok(newest.into_values().collect())
    }

    async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        Ok(fresh)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.tables().await.map(drop)
    }
}

/// A queue that keeps nothing: tests report by command.
#[derive(Clone, Default)]
pub(super) struct FakeQueue {
    pub(super) down: Arc<AtomicBool>,
}

#[async_trait]
impl JobQueue for FakeQueue {
    async fn publish(&self, _: &[Job]) -> Result<(), QueueError> {
        self.ping().await
    }

    async fn revoke(&self, _: &[JobOrder]) -> Result<(), QueueError> {
        self.ping().await
    }

    async fn missing(&self, _: &[JobOrder]) -> Result<Vec<JobId>, QueueError> {
        self.ping().await.map(|()| Vec::new())
    }

    async fn reports(&self, _: usize) -> Result<Vec<DeliveredReport>, QueueError> {
        std::future::pending().await
    }

    async fn acknowledge(&self, _: &[String]) -> Result<(), QueueError> {
        self.ping().await
    }

    async fn depths(&self, _: &[WorkerKey]) -> Result<Vec<QueueDepth>, QueueError> {
        self.ping().await.map(|()| Vec::new())
    }

    async fn ping(&self) -> Result<(), QueueError> {
        if self.down.load(Ordering::SeqCst) {
            return Err(QueueError::Unavailable("connection refused".to_owned()));
        }
        Ok(())
    }
}
