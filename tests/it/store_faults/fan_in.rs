//! Three dispatchers over one Postgres: all services of many runs complete at once, everything is reported twice, and
//! each run gets one synthesis.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hermes_adapters::entropy::SystemEntropy;
use hermes_adapters::memory::MemoryQueue;
use hermes_adapters::postgres::{Postgres, PostgresOptions};
use hermes_core::audit::audit_run;
use hermes_core::ports::queue::{Delivery, WorkQueue};
use hermes_core::wire::{Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, Plan, RunId};
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::engine::{Engine, EngineParts, Submission, Submitted};
use hermes_tests::harness::postgres::database;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const DISPATCHERS: usize = 3;
/// `FAN_IN_RUNS=500` makes it ten thousand completions.
const RUNS: usize = 60;
const UPSTREAM: usize = 20;

/// Twenty services that do not know each other, and one that waits for all of them.
fn plan() -> Plan {
    let mut text = "plan_id: wide-v1\nname: Wide\nmax_duration_ms: 600000\nservices:\n".to_owned();
    let names: Vec<String> = (0..UPSTREAM).map(|number| format!("s{number}")).collect();
    for name in &names {
        let _ = writeln!(text, "  - {{service: {name}, worker_key: wide, timeout_ms: 300000}}");
    }
    let _ = writeln!(
        text,
        "  - {{service: last, worker_key: last, timeout_ms: 300000, depends_on: [{}]}}",
        names.join(", ")
    );
    Plan::from_yaml(&text).expect("valid")
}

/// A dispatcher with its own connections.
async fn dispatcher(url: &str, queue: &MemoryQueue) -> Engine {
    let store = Postgres::connect(url, PostgresOptions::default()).await.expect("it is up");
    let parts = EngineParts {
        store: Arc::new(store),
        queue: queue.dispatcher(),
        book: Arc::new(RuleBook::shipped()),
        entropy: Arc::new(SystemEntropy),
        public_url: None,
        retention: None,
    };
    Engine::start(parts, &TaskTracker::new(), CancellationToken::new()).await.expect("it starts")
}

async fn submit(engines: &[Engine], plan: &Arc<Plan>, runs: usize) -> BTreeSet<RunId> {
    let submissions = (0..runs).map(|number| {
        let (website_id, domain) =
            (format!("site-{number}").parse().expect("valid"), "example.com".parse().expect("valid"));
        engines[number % engines.len()].submit(Submission { website_id, domain, plan: plan.clone(), idempotency: None })
    });
    let accepted = futures::future::join_all(submissions).await;
    let id = |submitted| match submitted {
        Ok(Submitted::Accepted(run)) => run.id(),
        other => panic!("{other:?}"),
    };
    accepted.into_iter().map(id).collect()
}

async fn jobs(worker: &dyn WorkQueue, key: &str, count: usize) -> Vec<Delivery> {
    let mut jobs = Vec::new();
    while jobs.len() < count {
        jobs.extend(worker.receive(&key.parse().expect("valid"), count - jobs.len()).await.expect("jobs"));
    }
    jobs
}

/// Reports every job twice, in any order.
async fn complete(worker: &dyn WorkQueue, jobs: &[Delivery], random: &mut StdRng) {
    let mut twice: Vec<&Delivery> = jobs.iter().chain(jobs).collect();
    twice.shuffle(random);
    for delivery in twice {
        let outcome = Outcome::Completed { duration_ms: 1, result: Json::parse("{}").expect("valid") };
        let report =
            Report { v: WIRE_VERSION, job: delivery.job.id.clone(), worker: worker.worker().to_owned(), outcome };
        worker.report(&delivery.receipt, &report).await.expect("taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_completions_over_three_dispatchers_give_one_synthesis_per_run() {
    let runs = std::env::var("FAN_IN_RUNS").map_or(RUNS, |text| text.parse().expect("FAN_IN_RUNS is a number"));
    let (url, queue, plan) = (database().await, MemoryQueue::new(), Arc::new(plan()));
    let mut engines = Vec::new();
    for _ in 0..DISPATCHERS {
        engines.push(dispatcher(&url, &queue).await);
    }
    let store = engines[0].store().clone();
    store.put_plan(&plan).await.expect("stored");
    let ids = submit(&engines, &plan, runs).await;
    let worker = queue.worker("worker-1");
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let began = std::time::Instant::now();
    let wide = jobs(worker.as_ref(), "wide", runs * UPSTREAM).await;
    complete(worker.as_ref(), &wide, &mut random).await;
    let last = jobs(worker.as_ref(), "last", runs).await;
    complete(worker.as_ref(), &last, &mut random).await;
    let settling = async {
        while store.count_open().await.expect("it answers") > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), settling).await.expect("all settle");
    println!("{} completions of {runs} runs, each reported twice, in {:?}", runs * (UPSTREAM + 1), began.elapsed());
    for id in ids {
        let run = store.run(id).await.expect("readable").expect("there");
        assert_eq!(run.status().as_str(), "completed");
        let log = store.run_events(id, 0, 1_000).await.expect("readable");
        assert_eq!(log.iter().filter(|event| event.kind == hermes_core::kbase::DIAGNOSIS).count(), 1);
        assert_eq!(log.iter().filter(|event| event.kind == hermes_core::kbase::RESULT).count(), UPSTREAM + 1);
        assert_eq!(audit_run(&run, &log, store.now().await.expect("it answers")), []);
    }
    let mut connection = PgConnection::connect(&url).await.expect("it answers");
    let query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let deadlocks: i64 = connection.fetch_one(query).await.expect("a valid query").get(0);
    assert_eq!(deadlocks, 0);
}
