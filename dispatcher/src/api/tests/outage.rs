//! A store whose answers are lost, one that was away for a while, and one that takes long for a commit.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use hermes_adapters::memory::MemoryQueue;
use hermes_core::ports::queue::{Delivery, WorkQueue};
use hermes_core::ports::store::Store;
use hermes_core::wire::{Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, Plan, Run, RunId, RunStatus, ServiceStatus};
use hermes_diagnosis::RuleBook;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::fakes::{FakeEntropy, SwitchedStore};
use super::world::{Answer, World};
use crate::engine::{Engine, EngineParts, Submission, Submitted};

async fn command(world: &World, run_id: RunId, what: &str) -> Answer {
    let path = format!("/api/orchestration/runs/{run_id}/{what}");
    world.send(Request::post(path).body(Body::empty()).expect("a request")).await
}

#[tokio::test(start_paused = true)]
async fn a_note_whose_commit_gets_no_answer_is_written_once() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    for lost in 1..=2 {
        let before = world.store.run(run_id).await.expect("read").expect("there").state().last_seq;
        world.store.lose_answers(lost);
        let note = json!({"run_id": run_id, "service": "crm", "type": "seen", "payload": {"by": "ann"}});
        let answer = world.post("/api/kbase/events", &note).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let after = world.store.run(run_id).await.expect("read").expect("there").state().last_seq;
        assert_eq!(after, before + 1, "with {lost} answers lost");
        world.store.lose_answers(0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_commit_gets_no_answer_is_answered_with_what_it_did() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    world.store.lose_answers(1);
    let answer = command(&world, run_id, "cancel").await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")), "{answer:?}");
    world.store.lose_answers(1);
    let answer = command(&world, run_id, "rerun").await;
    assert_eq!((answer.status, &answer.body["revision"]), (202, &json!(2)), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_finds_no_store_is_refused_and_has_done_nothing() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    world.store.go_down();
    assert_eq!(command(&world, run_id, "cancel").await.problem(), (503, "store-unavailable"));
    world.store.come_back();
    let run = world.store.run(run_id).await.expect("read").expect("there");
    assert!(!run.status().is_settled());
}

/// Three services that do not know each other, with twenty seconds each.
const PLAN: &str = "
plan_id: three-v1
name: Three
max_duration_ms: 60000
services:
  - {service: a, worker_key: key, timeout_ms: 20000}
  - {service: b, worker_key: key, timeout_ms: 20000}
  - {service: c, worker_key: key, timeout_ms: 20000}
";

/// A dispatcher with a queue that keeps what it gets, and one worker.
struct Bench {
    store: SwitchedStore,
    queue: MemoryQueue,
    worker: Arc<dyn WorkQueue>,
    engine: Engine,
    dispatcher: CancellationToken,
}

impl Bench {
    async fn new() -> Self {
        Self::over(SwitchedStore::new()).await
    }

    async fn over(store: SwitchedStore) -> Self {
        let (queue, dispatcher) = (MemoryQueue::new(), CancellationToken::new());
        let worker = queue.worker("worker-1");
        let engine = start(&store, &queue, &dispatcher).await;
        Self { store, queue, worker, engine, dispatcher }
    }

    /// A run of which a worker has all three jobs and has said so.
    async fn begun(&self) -> (RunId, Vec<Delivery>) {
        let plan = Arc::new(Plan::from_yaml(PLAN).expect("valid"));
        let (website_id, domain) = ("site".parse().expect("valid"), "example.com".parse().expect("valid"));
        let submission = Submission { website_id, domain, plan, idempotency: None };
        let Submitted::Accepted(run) = self.engine.submit(submission).await.expect("accepted") else {
            panic!("it is new")
        };
        let jobs = self.worker.receive(&"key".parse().expect("valid"), 3).await.expect("jobs");
        for job in &jobs {
            self.worker.notify(&report(job, Outcome::Started)).await.expect("taken");
        }
        self.until(run.id(), |run| all(run, ServiceStatus::Running)).await;
        (run.id(), jobs)
    }

    async fn complete(&self, jobs: &[Delivery]) {
        for job in jobs {
            let outcome = Outcome::Completed { duration_ms: 5, result: Json::parse("{}").expect("valid") };
            self.worker.report(&job.receipt, &report(job, outcome)).await.expect("taken");
        }
    }

    async fn until(&self, run_id: RunId, wanted: impl Fn(&Run) -> bool) -> Run {
        loop {
            let run = self.store.run(run_id).await.expect("read").expect("there");
            if wanted(&run) {
                return run;
            }
            pass(1).await;
        }
    }

    async fn settled(&self, run_id: RunId) -> Run {
        self.until(run_id, |run| run.status().is_settled()).await
    }
}

async fn start(store: &SwitchedStore, queue: &MemoryQueue, shutdown: &CancellationToken) -> Engine {
    let parts = EngineParts {
        store: Arc::new(store.clone()),
        queue: queue.dispatcher(),
        book: Arc::new(RuleBook::shipped()),
        entropy: Arc::new(FakeEntropy::default()),
        public_url: None,
        retention: None,
    };
    Engine::start(parts, &TaskTracker::new(), shutdown.clone()).await.expect("starts")
}

fn report(job: &Delivery, outcome: Outcome) -> Report {
    Report { v: WIRE_VERSION, job: job.job.id.clone(), worker: "worker-1".to_owned(), outcome }
}

fn all(run: &Run, status: ServiceStatus) -> bool {
    run.state().services.iter().all(|service| service.status == status)
}

/// Lets the virtual clock go on.
async fn pass(ms: u64) {
    let end = tokio::time::Instant::now() + Duration::from_millis(ms);
    let _ = tokio::time::timeout_at(end, std::future::pending::<()>()).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_answered_while_the_store_was_away_do_not_time_out() {
    // with many lengths, because timers and reports find out in turn that the store is back
    for outage_ms in (30_000..70_000).step_by(1_300) {
        let bench = Bench::new().await;
        let (run_id, jobs) = bench.begun().await;
        bench.store.go_down();
        pass(5_000).await;
        bench.complete(&jobs).await;
        pass(outage_ms).await;
        bench.store.come_back();
        let run = bench.settled(run_id).await;
        assert_eq!(run.status(), RunStatus::Completed, "after {outage_ms} ms");
        bench.dispatcher.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_were_answered_while_no_dispatcher_was_there_do_not_time_out() {
    let mut bench = Bench::new().await;
    let (run_id, jobs) = bench.begun().await;
    bench.dispatcher.cancel();
    pass(5_000).await;
    bench.complete(&jobs).await;
    pass(60_000).await;
    bench.dispatcher = CancellationToken::new();
    bench.engine = start(&bench.store, &bench.queue, &bench.dispatcher).await;
    assert_eq!(bench.settled(run_id).await.status(), RunStatus::Completed);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_nobody_answered_time_out_soon_after_the_store_is_back() {
    let bench = Bench::new().await;
    let (run_id, jobs) = bench.begun().await;
    bench.store.go_down();
    pass(65_000).await;
    bench.complete(&jobs[..1]).await;
    bench.store.come_back();
    let back = tokio::time::Instant::now();
    let run = bench.settled(run_id).await;
    assert_eq!(run.status(), RunStatus::Timeout);
    let late_ms = back.elapsed().as_millis();
    let limit_ms = hermes_core::limits::HEAD_START_MAX_MS + hermes_core::limits::OUTAGE_PAUSE_MAX_MS;
    assert!(late_ms <= u128::from(limit_ms), "{late_ms} ms");
}

#[tokio::test(start_paused = true)]
async fn where_commits_take_turns_other_runs_are_decided_while_one_commit_takes_long() {
    let store = SwitchedStore::new();
    store.take_turns();
    let bench = Bench::over(store).await;
    let (held, held_jobs) = bench.begun().await;
    let mut others = Vec::new();
    for _ in 0..8 {
        others.push(bench.begun().await);
    }
    bench.store.hold(Some(held));
    bench.complete(&held_jobs).await;
    pass(10).await;
    for (_, jobs) in &others {
        bench.complete(jobs).await;
    }
    pass(1_000).await;
    let mut done = 0;
    for (run_id, _) in &others {
        let run = bench.store.run(*run_id).await.expect("read").expect("there");
        done += usize::from(run.status().is_settled());
    }
    assert!((1..others.len()).contains(&done), "two ways, of which one is blocked: {done} runs settled");
    bench.store.hold(None);
    for run_id in others.iter().map(|(run_id, _)| *run_id).chain([held]) {
        assert_eq!(bench.settled(run_id).await.status(), RunStatus::Completed);
    }
}
