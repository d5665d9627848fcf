//! Engines that take over from each other, stop, or fall behind, and what must not happen then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::memory::{MemoryClock, MemoryQueue, MemoryStore};
use hermes_core::limits::REPORTS_LATE_MS;
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::queue::{DeliveredReport, JobQueue, QueueDepth, QueueError, WorkQueue};
use hermes_core::ports::store::Store;
use hermes_core::run::JobOrder;
use hermes_core::wire::{Job, JobId, Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, Plan, Run, RunId, ServiceStatus, Timestamp, WorkerKey};
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::engine::{Engine, EngineError, EngineParts, Submission, Submitted};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A generous limit: what has not ended by then never does.
const PATIENCE: Duration = Duration::from_secs(60);

/// A queue between an engine and the true one.
struct Between {
    queue: Arc<dyn JobQueue>,
    worker: Arc<dyn WorkQueue>,
    store: Arc<dyn Store>,
    /// Before the first comparison is answered, the worker ends the job of `ends`, and that is committed and acknowledged.
    before_comparing: AtomicBool,
    /// There is always one more report, and it has waited for so many milliseconds.
    never_quiet: Option<Arc<AtomicU64>>,
    /// Publishing a job for `hangs` ends with an error, after a long time.
    hanging: bool,
}

impl Between {
    fn of(queue: &MemoryQueue, store: &Arc<dyn Store>) -> Self {
        let (queue, worker) = (queue.dispatcher(), queue.worker("w"));
        let before_comparing = AtomicBool::new(false);
        Self { queue, worker, store: store.clone(), before_comparing, never_quiet: None, hanging: false }
    }

    /// A worker completes the next job of `ends`; returns when the effect is committed and the queue has forgotten it.
    async fn end_a_job(&self) {
        let delivery = self.worker.receive(&key("ends"), 1).await.expect("a job").remove(0);
        self.worker.report(&delivery.receipt, &completed(&delivery.job.id)).await.expect("taken");
        let run_id = delivery.job.id.run_id;
        while !self.store.run(run_id).await.expect("told").expect("known").status().is_settled() {
            tokio::task::yield_now().await;
        }
        let order = JobOrder {
            id: delivery.job.id.clone(),
            worker_key: key("ends"),
            timeout_ms: delivery.job.timeout_ms,
            remaining_ms: delivery.job.remaining_ms,
        };
        while self.queue.missing(std::slice::from_ref(&order)).await.expect("told").is_empty() {
            tokio::task::yield_now().await;
        }
    }
}

fn key(text: &str) -> WorkerKey {
    text.parse().expect("valid")
}

fn completed(job: &JobId) -> Report {
    let outcome = Outcome::Completed { duration_ms: 1, result: Json::parse("{}").expect("valid") };
    Report { v: WIRE_VERSION, job: job.clone(), worker: "w".to_owned(), outcome }
}

#[async_trait]
impl JobQueue for Between {
    async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError> {
        if self.hanging && jobs.iter().any(|job| job.worker_key == key("hangs")) {
            let never = std::future::pending::<()>();
            return tokio::time::timeout(PATIENCE / 2, never)
                .await
                .map_err(|late| QueueError::Unavailable(late.to_string()));
        }
        self.queue.publish(jobs).await
    }

    async fn revoke(&self, orders: &[JobOrder]) -> Result<(), QueueError> {
        self.queue.revoke(orders).await
    }

    async fn missing(&self, orders: &[JobOrder]) -> Result<Vec<JobId>, QueueError> {
        if self.before_comparing.swap(false, Ordering::Relaxed) {
            self.end_a_job().await;
        }
        self.queue.missing(orders).await
    }

    async fn reports(&self, max: usize) -> Result<Vec<DeliveredReport>, QueueError> {
        let Some(waited_ms) = &self.never_quiet else { return self.queue.reports(max).await };
        tokio::task::yield_now().await;
        let nobody = JobId {
            run_id: RunId::from_uuid(SystemEntropy.identity()),
            service: "one".parse().expect("valid"),
            attempt: 1,
        };
        let waited_ms = waited_ms.load(Ordering::Relaxed);
        Ok(vec![DeliveredReport { receipt: "0".to_owned(), report: completed(&nobody), waited_ms }])
    }

    async fn acknowledge(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.queue.acknowledge(receipts).await
    }

    async fn depths(&self, keys: &[WorkerKey]) -> Result<Vec<QueueDepth>, QueueError> {
        self.queue.depths(keys).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.queue.ping().await
    }
}

fn store() -> Arc<dyn Store> {
    let noon: MemoryClock = Arc::new(|| Timestamp::from_millis(1_800_000_000_000));
    Arc::new(MemoryStore::new(noon))
}

/// A run of one service, whose job goes to the queue `key`.
fn submission(key: &str) -> Submission {
    submission_of(&format!(
        "plan_id: {key}-v1\nname: One\nmax_duration_ms: 600000\nservices:\n  - {{service: one, worker_key: {key}, timeout_ms: 500000}}"
    ))
}

fn submission_of(plan: &str) -> Submission {
    Submission {
        website_id: "site".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        plan: Arc::new(Plan::from_yaml(plan).expect("valid")),
        idempotency: None,
    }
}

/// An engine with what ends it.
struct Running {
    engine: Engine,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Running {
    async fn start(store: &Arc<dyn Store>, queue: Arc<dyn JobQueue>) -> Self {
        let parts = EngineParts {
            store: store.clone(),
            queue,
            book: Arc::new(RuleBook::shipped()),
            entropy: Arc::new(SystemEntropy),
            public_url: None,
            retention: None,
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let engine = Engine::start(parts, &tasks, stop.clone()).await.expect("it starts");
        Self { engine, tasks, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("it ends");
    }

    /// A run of one service, whose job waits in the queue `key`.
    async fn submit(&self, key: &str) -> RunId {
        self.submit_this(submission(key)).await
    }

    async fn submit_this(&self, submission: Submission) -> RunId {
        self.engine.store().put_plan(&submission.plan).await.expect("stored");
        match self.engine.submit(submission).await.expect("accepted") {
            Submitted::Accepted(run) => run.id(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_job_that_ends_while_store_and_queue_are_compared_is_not_executed_again() {
    let (first, store) = (MemoryQueue::new(), store());
    let before = Running::start(&store, first.dispatcher()).await;
    before.submit("ends").await;
    let lost = before.submit("lost").await;
    let published = first.worker("w").receive(&key("ends"), 1).await.expect("a job").remove(0);
    before.stop().await;

    // A queue that has one of the two jobs.
    let queue = MemoryQueue::new();
    queue.dispatcher().publish(&[published.job]).await.expect("taken");
    let between = Between { before_comparing: AtomicBool::new(true), ..Between::of(&queue, &store) };
    let after = Running::start(&store, Arc::new(between)).await;
    let worker = queue.worker("w");
    let found = tokio::time::timeout(PATIENCE, worker.receive(&key("lost"), 1)).await.expect("it comes at all");
    assert_eq!(found.expect("a job")[0].job.id.run_id, lost, "what was lost is published again");
    let depth = queue.dispatcher().depths(&[key("ends")]).await.expect("told").remove(0);
    assert_eq!((depth.waiting, depth.leased), (0, 0), "what has ended is not");
    after.stop().await;
}

#[tokio::test]
async fn an_engine_that_is_told_to_stop_ends_although_reports_keep_coming() {
    let (queue, store) = (MemoryQueue::new(), store());
    let between = Between { never_quiet: Some(Arc::default()), ..Between::of(&queue, &store) };
    let engine = Running::start(&store, Arc::new(between)).await;
    engine.stop().await;
}

#[tokio::test]
async fn no_run_is_begun_while_reports_come_late_and_again_as_soon_as_they_do_not() {
    let (queue, store, waited_ms) = (MemoryQueue::new(), store(), Arc::new(AtomicU64::new(REPORTS_LATE_MS)));
    let between = Between { never_quiet: Some(waited_ms.clone()), ..Between::of(&queue, &store) };
    let running = Running::start(&store, Arc::new(between)).await;
    let begun = running.submit("in-time").await;
    waited_ms.store(REPORTS_LATE_MS + 1, Ordering::Relaxed);
    let submission = submission("late");
    store.put_plan(&submission.plan).await.expect("stored");
    let refused = async {
        while running.engine.submit(submission.clone()).await.is_ok() {
            tokio::task::yield_now().await;
        }
        running.engine.submit(submission.clone()).await.expect_err("it stays so")
    };
    assert_eq!(tokio::time::timeout(PATIENCE, refused).await.expect("refused"), EngineError::Late);
    assert!(!store.run(begun).await.expect("told").expect("known").status().is_settled(), "it was in nobody's way");
    waited_ms.store(0, Ordering::Relaxed);
    let accepted = async {
        while running.engine.submit(submission.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, accepted).await.expect("accepted");
    running.stop().await;
}

/// Gives everything else its turn until the condition holds; on a paused clock, no time passes meanwhile. Panics if it
/// does not come true.
async fn without_time(mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..10_000 {
        if holds().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it waits for something that takes time");
}

#[tokio::test(start_paused = true)]
async fn a_publication_that_hangs_does_not_keep_the_next_submission_waiting() {
    let (queue, store) = (MemoryQueue::new(), store());
    let between = Between { hanging: true, ..Between::of(&queue, &store) };
    let running = Running::start(&store, Arc::new(between)).await;
    running.submit("hangs").await;
    {
        let mut next = std::pin::pin!(running.submit("next"));
        without_time(async || futures::poll!(&mut next).is_ready()).await;
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_publication_that_hangs_does_not_keep_the_next_reports_waiting() {
    let (queue, store) = (MemoryQueue::new(), store());
    let between = Between { hanging: true, ..Between::of(&queue, &store) };
    let running = Running::start(&store, Arc::new(between)).await;
    let two = "plan_id: two-v1\nname: Two\nmax_duration_ms: 600000\nservices:\n  \
               - {service: one, worker_key: first, timeout_ms: 100000}\n  \
               - {service: two, worker_key: hangs, timeout_ms: 100000, depends_on: [one]}";
    let (publishes, settles) = (running.submit_this(submission_of(two)).await, running.submit("first").await);
    let worker = queue.worker("w");
    for run in [publishes, settles] {
        let job = worker.receive(&key("first"), 1).await.expect("a job").remove(0);
        assert_eq!(job.job.id.run_id, run, "they come in their order");
        worker.report(&job.receipt, &completed(&job.job.id)).await.expect("taken");
        let completed = |run: Run| run.services().next().is_some_and(|(_, one)| one.status == ServiceStatus::Completed);
        without_time(async || completed(store.run(run).await.expect("told").expect("known"))).await;
    }
    running.stop().await;
}
