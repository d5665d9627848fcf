//! The engine over a real SQLite file: one damaged row must not keep its run from settling, nor any other run.

use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::memory::MemoryQueue;
use hermes_adapters::sqlite::Sqlite;
use hermes_core::ports::queue::WorkQueue;
use hermes_core::wire::{Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, Plan, Run, RunId, RunStatus};
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::engine::{Engine, EngineParts, Submission, Submitted};
use sqlx::Connection;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Two services that do not know each other, each with a queue of its own.
const PLAN: &str = "
plan_id: pair-v1
name: A pair
max_duration_ms: 3000
services:
  - {service: early, worker_key: early, timeout_ms: 2000}
  - {service: late, worker_key: late, timeout_ms: 2000}
";

struct Bench {
    folder: tempfile::TempDir,
    store: Arc<Sqlite>,
    queue: MemoryQueue,
    engine: Engine,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    worker: Arc<dyn WorkQueue>,
    plan: Arc<Plan>,
}

async fn start(store: &Arc<Sqlite>, queue: &MemoryQueue, tasks: &TaskTracker, shutdown: &CancellationToken) -> Engine {
    let parts = EngineParts {
        store: store.clone(),
        queue: queue.dispatcher(),
        book: Arc::new(RuleBook::shipped()),
        entropy: Arc::new(SystemEntropy),
        public_url: None,
        retention: None,
    };
    Engine::start(parts, tasks, shutdown.clone()).await.expect("it starts")
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Sqlite::open(folder.path().join("hermes.db"), "").await.expect("it opens"));
        let queue = MemoryQueue::new();
        let worker = queue.worker("worker-1");
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let engine = start(&store, &queue, &tasks, &shutdown).await;
        let plan = Arc::new(Plan::from_yaml(PLAN).expect("valid"));
        engine.store().put_plan(&plan).await.expect("stored");
        Self { folder, store, queue, engine, tasks, shutdown, worker, plan }
    }

    /// Another engine takes over, which remembers nothing.
    async fn restart(&mut self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        (self.tasks, self.shutdown) = (TaskTracker::new(), CancellationToken::new());
        self.engine = start(&self.store, &self.queue, &self.tasks, &self.shutdown).await;
    }

    async fn submit(&self) -> RunId {
        let submission = Submission {
            website_id: "site".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            plan: self.plan.clone(),
            idempotency: None,
        };
        match self.engine.submit(submission).await.expect("accepted") {
            Submitted::Accepted(run) => run.id(),
            other => panic!("{other:?}"),
        }
    }

    /// A worker completes the next job of this key.
    async fn complete(&self, key: &str) -> RunId {
        let delivery = self.worker.receive(&key.parse().expect("valid"), 1).await.expect("a job").remove(0);
        let outcome = Outcome::Completed { duration_ms: 1, result: Json::parse("{}").expect("valid") };
        let job = delivery.job.id.clone();
        let report = Report { v: WIRE_VERSION, job: job.clone(), worker: self.worker.worker().to_owned(), outcome };
        let mut watcher = self.engine.watch(job.run_id);
        self.worker.report(&delivery.receipt, &report).await.expect("taken");
        while !self.run(job.run_id).await.service(&job.service).expect("known").status.is_settled() {
            watcher.changed().await;
        }
        job.run_id
    }

    /// Makes the stored result of the run unreadable.
    async fn damage(&self, run_id: RunId) {
        let url = format!("sqlite://{}", self.folder.path().join("hermes.db").display());
        let mut connection = sqlx::SqliteConnection::connect(&url).await.expect("the file opens");
        let torn = sqlx::query("UPDATE kbase_events SET payload = '{' WHERE run_id = ? AND type = 'result'");
        torn.bind(run_id.to_string()).execute(&mut connection).await.expect("written");
        let count = sqlx::query_scalar("SELECT count(*) FROM kbase_events WHERE run_id = ? AND payload = '{'");
        let damaged: i64 = count.bind(run_id.to_string()).fetch_one(&mut connection).await.expect("readable");
        assert_eq!(damaged, 1);
    }

    async fn run(&self, id: RunId) -> Run {
        self.engine.store().run(id).await.expect("readable").expect("there")
    }

    async fn settled(&self, id: RunId) -> Run {
        let mut watcher = self.engine.watch(id);
        let waiting = async {
            loop {
                let run = self.run(id).await;
                if run.status().is_settled() {
                    return run;
                }
                watcher.changed().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("an accepted run settles")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_stored_result_is_damaged_settles_all_the_same() {
    let mut bench = Bench::new().await;
    let id = bench.submit().await;
    assert_eq!(bench.complete("early").await, id);
    bench.damage(id).await;
    bench.restart().await;
    bench.complete("late").await;
    let run = bench.settled(id).await;
    assert_eq!(run.status(), RunStatus::Completed);
    let why = run.state().synthesis_error.as_deref().expect("it says why there is no diagnosis");
    assert!(why.contains("kbase_log.payloads"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_run_does_not_hold_up_the_deadlines_of_others() {
    let bench = Bench::new().await;
    let first = bench.submit().await;
    let damaged = bench.complete("early").await;
    assert_eq!(damaged, first);
    bench.damage(damaged).await;
    let others = [bench.submit().await, bench.submit().await];
    for id in others.into_iter().chain([damaged]) {
        let run = bench.settled(id).await;
        assert_eq!(run.status(), RunStatus::Timeout, "nobody took 'late'");
    }
}
