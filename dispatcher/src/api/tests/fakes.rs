//! A store in memory that can be switched off, made to hang, also for one run alone, or made to panic; a queue that can be
//! switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hermes_adapters::memory::MemoryStore;
use hermes_core::kbase::KbaseEvent;
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::queue::{DeliveredReport, JobQueue, QueueDepth, QueueError};
use hermes_core::ports::store::{
    Change, Claim, Committed, EventFilter, PreviousOf, Removed, RunFilter, RunListing, Store, StoreError, StoredPlan,
    StoredRun, Transaction,
};
use hermes_core::run::{Jitter, JobOrder};
use hermes_core::wire::{Job, JobId};
use hermes_core::{EventId, Json, Plan, PlanId, Run, RunId, Timestamp, WorkerKey};
use tokio::sync::watch;
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

/// A store with switches; clones share it.
#[derive(Clone)]
pub(super) struct SwitchedStore {
    inner: MemoryStore,
    switches: Arc<Switches>,
}

#[derive(Default)]
struct Switches {
    down: AtomicBool,
    hanging: AtomicBool,
    panicking: AtomicBool,
    answers_to_lose: AtomicU64,
    in_turn: AtomicBool,
    held: watch::Sender<Option<RunId>>,
}

impl SwitchedStore {
    /// An empty store whose clock follows tokio's, which tests may pause.
    pub(super) fn new() -> Self {
        let begun = Instant::now();
        let elapsed_ms = move || begun.elapsed().as_millis().try_into().expect("a test is short");
        let clock = move || Timestamp::from_millis(BEGIN_MS).plus_ms(elapsed_ms());
        Self { inner: MemoryStore::new(Arc::new(clock)), switches: Arc::default() }
    }

    pub(super) fn go_down(&self) {
        self.switches.down.store(true, Ordering::SeqCst);
    }

    pub(super) fn come_back(&self) {
        self.switches.down.store(false, Ordering::SeqCst);
    }

    /// The next commits, this many, succeed without anybody being told.
    pub(super) fn lose_answers(&self, commits: u64) {
        self.switches.answers_to_lose.store(commits, Ordering::SeqCst);
    }

    pub(super) fn hang(&self) {
        self.switches.hanging.store(true, Ordering::SeqCst);
    }

    pub(super) fn panic(&self) {
        self.switches.panicking.store(true, Ordering::SeqCst);
    }

    /// From now on it says that its commits take turns. They do not, so that a test sees who waits for whom.
    pub(super) fn take_turns(&self) {
        self.switches.in_turn.store(true, Ordering::SeqCst);
    }

    /// Commits that change this run wait until no run is held, or another one.
    pub(super) fn hold(&self, run_id: Option<RunId>) {
        self.switches.held.send_replace(run_id);
    }

    /// The store, if it answers.
    async fn up(&self) -> Result<&MemoryStore, StoreError> {
        self.switches.check().await.map(|()| &self.inner)
    }
}

impl Switches {
    async fn check(&self) -> Result<(), StoreError> {
        assert!(!self.panicking.load(Ordering::SeqCst), "a planted defect");
        if self.hanging.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("s3cret connection string".to_owned()));
        }
        Ok(())
    }
}

struct SwitchedTransaction {
    inner: Box<dyn Transaction>,
    switches: Arc<Switches>,
}

#[async_trait]
impl Transaction for SwitchedTransaction {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn unreadable(&self) -> &[(RunId, String)] {
        self.inner.unreadable()
    }

    fn take_runs(&mut self) -> Vec<Run> {
        self.inner.take_runs()
    }

    async fn events(&mut self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        self.switches.check().await?;
        self.inner.events(wanted).await
    }

    async fn previous_diagnoses(&mut self, of: &[PreviousOf]) -> Result<Vec<(RunId, Json)>, StoreError> {
        self.switches.check().await?;
        self.inner.previous_diagnoses(of).await
    }

    async fn commit(self: Box<Self>, changes: Vec<Change>) -> Result<Vec<Committed>, StoreError> {
        self.switches.check().await?;
        let is_of =
            |held: RunId| changes.iter().any(|change| matches!(change, Change::Update { run, .. } if run.id() == held));
        let mut held = self.switches.held.subscribe();
        held.wait_for(|held| !held.is_some_and(is_of)).await.expect("the switches are there");
        let writes = !changes.is_empty();
        let committed = self.inner.commit(changes).await?;
        let left = &self.switches.answers_to_lose;
        if writes && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Unavailable("the connection was cut during the commit".to_owned()));
        }
        Ok(committed)
    }
}

#[async_trait]
impl Store for SwitchedStore {
    async fn begin(&self, claim: Claim<'_>) -> Result<Box<dyn Transaction>, StoreError> {
        let inner = self.up().await?.begin(claim).await?;
        Ok(Box::new(SwitchedTransaction { inner, switches: self.switches.clone() }))
    }

    async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        self.up().await?.run(id).await
    }

    async fn runs(
        &self,
        filter: &RunFilter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<Vec<RunListing>, StoreError> {
        self.up().await?.runs(filter, after, limit).await
    }

    async fn open_runs(
        &self,
        after: Option<RunId>,
        accepted_by: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Run>, StoreError> {
        self.up().await?.open_runs(after, accepted_by, limit).await
    }

    async fn stored_runs(&self, after: &str, limit: usize) -> Result<Vec<StoredRun>, StoreError> {
        self.up().await?.stored_runs(after, limit).await
    }

    async fn orphans(&self, after: &str, up_to: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.up().await?.orphans(after, up_to, limit).await
    }

    async fn count_open(&self) -> Result<u64, StoreError> {
        self.up().await?.count_open().await
    }

    async fn next_wake_ms(&self) -> Result<Option<u64>, StoreError> {
        self.up().await?.next_wake_ms().await
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.up().await?.now().await
    }

    async fn run_events(&self, id: RunId, after: u64, limit: usize) -> Result<Vec<KbaseEvent>, StoreError> {
        self.up().await?.run_events(id, after, limit).await
    }

    async fn events(&self, wanted: &[EventId]) -> Result<Vec<KbaseEvent>, StoreError> {
        Store::events(self.up().await?, wanted).await
    }

    async fn kbase(
        &self,
        filter: &EventFilter,
        before: Option<(Timestamp, EventId)>,
        limit: usize,
    ) -> Result<Vec<KbaseEvent>, StoreError> {
        self.up().await?.kbase(filter, before, limit).await
    }

    async fn put_plan(&self, plan: &Plan) -> Result<StoredPlan, StoreError> {
        self.up().await?.put_plan(plan).await
    }

    async fn plan(&self, id: &PlanId) -> Result<Option<StoredPlan>, StoreError> {
        self.up().await?.plan(id).await
    }

    async fn plans(&self) -> Result<Vec<StoredPlan>, StoreError> {
        self.up().await?.plans().await
    }

    async fn remove_settled(&self, keep: Duration, limit: usize) -> Result<Removed, StoreError> {
        self.up().await?.remove_settled(keep, limit).await
    }

    async fn callback_key(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        self.up().await?.callback_key(fresh).await
    }

    fn commits_take_turns(&self) -> bool {
        self.switches.in_turn.load(Ordering::SeqCst)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.up().await?.ping().await
    }
}

/// A queue that keeps nothing: tests report by command.
#[derive(Clone, Default)]
pub(super) struct FakeQueue {
    down: Arc<AtomicBool>,
}

impl FakeQueue {
    pub(super) fn go_down(&self) {
        self.down.store(true, Ordering::SeqCst);
    }
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
