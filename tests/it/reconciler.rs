//! The engine's reconciler over a real Redis: what it repairs, and what it leaves in peace.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::redis::RedisQueue;
use hermes_adapters::sqlite::Sqlite;
use hermes_core::limits::RECONCILE_PAGE_RUNS;
use hermes_core::ports::queue::{JobQueue, WorkQueue};
use hermes_core::{Plan, RunId};
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::engine::{Engine, EngineParts, Submission, Submitted};
use hermes_tests::harness::redis::Redis;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A generous limit: what is not here by then never comes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    _folder: tempfile::TempDir,
    redis: Redis,
    prefix: String,
    engine: Engine,
    worker: RedisQueue,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Sqlite::open(folder.path().join("hermes.db"), "").await.expect("it opens");
        let redis = Redis::shared();
        let prefix = redis.prefix();
        let queue = async |identity| RedisQueue::connect(&redis.url(), &prefix, identity).await.expect("connected");
        let (dispatcher, worker) = (queue("d").await, queue("w").await);
        let parts = EngineParts {
            store: Arc::new(store),
            queue: Arc::new(dispatcher),
            book: Arc::new(RuleBook::shipped()),
            entropy: Arc::new(SystemEntropy),
            public_url: None,
            retention: None,
        };
        let engine = Engine::start(parts, &TaskTracker::new(), CancellationToken::new()).await.expect("it starts");
        Self { _folder: folder, redis, prefix, engine, worker }
    }

    fn name(&self, rest: &str) -> String {
        format!("{{{}}}:{rest}", self.prefix)
    }

    /// A plan of one service whose jobs wait in the queue `key`.
    async fn plan(&self, key: &str) -> Arc<Plan> {
        let text = format!(
            "plan_id: {key}-v1\nname: One\nmax_duration_ms: 600000\nservices:\n  - {{service: one, worker_key: {key}, timeout_ms: 2000}}"
        );
        let plan = Arc::new(Plan::from_yaml(&text).expect("valid"));
        self.engine.store().put_plan(&plan).await.expect("stored");
        plan
    }

    async fn submit(&self, plan: &Arc<Plan>) -> RunId {
        let submission = Submission {
            website_id: "site".parse().expect("valid"),
            domain: "example.com".parse().expect("valid"),
            plan: plan.clone(),
            idempotency: None,
        };
        match self.engine.submit(submission).await.expect("accepted") {
            Submitted::Accepted(run) => run.id(),
            other => panic!("{other:?}"),
        }
    }

    /// Jobs that the reconciler has published again.
    fn republished(&self) -> u64 {
        let metrics = self.engine.metrics().render();
        let line = metrics.lines().find_map(|line| line.strip_prefix("hermes_republished_jobs_total "));
        line.expect("the metric is there").parse().expect("a number")
    }

    /// The run of the next job of this key.
    async fn job(&self, key: &str) -> (RunId, u32) {
        let key = key.parse().expect("valid");
        let taken = tokio::time::timeout(PATIENCE, self.worker.receive(&key, 1)).await;
        let delivery = taken.expect("it comes at all").expect("a job").remove(0);
        (delivery.job.id.run_id, delivery.job.id.attempt)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_be_published_keeps_no_other_run_waiting() {
    let bench = Bench::new().await;
    let (bad, good) = (bench.plan("bad").await, bench.plan("good").await);
    // Whoever publishes to this key is refused; a whole page of runs, the first one, wants to.
    bench.redis.command(&["SET", &bench.name("jobs:bad"), "not a stream"]).await;
    join_all((0..RECONCILE_PAGE_RUNS).map(|_| bench.submit(&bad))).await;
    let behind = bench.submit(&good).await;
    assert_eq!(bench.job("good").await, (behind, 1), "published after its commit");
    for lost in ["jobs:good", "index:good"] {
        bench.redis.command(&["DEL", &bench.name(lost)]).await;
    }
    assert_eq!(bench.job("good").await, (behind, 1), "published again, as the same attempt");
    // And what is repaired is not skipped for ever.
    bench.redis.command(&["DEL", &bench.name("jobs:bad")]).await;
    let (_, attempt) = bench.job("bad").await;
    assert_eq!(attempt, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_that_has_everything_is_left_in_peace() {
    let bench = Bench::new().await;
    let plan = bench.plan("idle").await;
    let runs = RECONCILE_PAGE_RUNS + 50;
    join_all((0..runs).map(|_| bench.submit(&plan))).await;
    let depth = async || {
        let depth = bench.worker.depths(&["idle".parse().expect("valid")]).await.expect("told").remove(0);
        (depth.waiting, depth.leased)
    };
    // Publication follows the commit.
    while depth().await != (runs as u64, 0) {
        tokio::task::yield_now().await;
    }
    // What a comparison at the start may have published before whoever was about to.
    let before = bench.republished();
    // A marker that is lost twice says when both pages have been compared in between.
    let marker = bench.plan("marker").await;
    let id = bench.submit(&marker).await;
    assert_eq!(bench.job("marker").await, (id, 1));
    for _ in 0..2 {
        for lost in ["jobs:marker", "index:marker"] {
            bench.redis.command(&["DEL", &bench.name(lost)]).await;
        }
        assert_eq!(bench.job("marker").await, (id, 1));
    }
    // Counted right after the worker has it.
    while bench.republished() < before + 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.republished(), before + 2, "nothing but the marker");
    assert_eq!(depth().await, (runs as u64, 0));
}
