//! A fleet whose Redis fails in every way that a queue may: it is away, full, robbed of its streams and groups, restarted
//! empty, or replaced by a replica. No run is refused or lost, and no attempt is raised.

use std::collections::BTreeSet;

use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::postgres;
use hermes_tests::harness::redis::Redis;
use hermes_tests::harness::sentinel::Watched;
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::json;

const KEY: &str = "serp_intel";

/// A fleet of one dispatcher and one worker-runner, and the external worker that it calls.
struct Bench {
    redis: Redis,
    prefix: String,
    worker: HttpWorker,
    fleet: Fleet,
}

impl Bench {
    /// On a Redis of its own, with a worker that holds back its answers.
    async fn new() -> Self {
        let redis = Redis::start_own();
        let url = redis.url();
        Self::at(redis, &url).await
    }

    async fn at(redis: Redis, url: &str) -> Self {
        let worker = HttpWorker::held(Answer::Data(json!({ "fine": true }))).await;
        let mut external = worker.environment(KEY).to_vec();
        external.push(("HERMES_WORKER_KEYS".to_owned(), format!("{KEY},noop")));
        let prefix = redis.prefix();
        let fleet = Fleet::start(&postgres::database().await, url, &prefix, 1, &external).await;
        let plan = json!({
            "plan_id": "two-v1", "name": "Two", "max_duration_ms": 600_000, "services": [
                { "service": "first", "worker_key": KEY, "timeout_ms": 300_000 },
                { "service": "second", "worker_key": "noop", "timeout_ms": 300_000, "depends_on": ["first"] },
            ],
        });
        let (status, answer) = fleet.post("/api/orchestration/plans", &plan).await;
        assert_eq!(status, 201, "{answer}");
        Self { redis, prefix, worker, fleet }
    }

    fn name(&self, rest: &str) -> String {
        format!("{{{}}}:{rest}", self.prefix)
    }

    /// Accepted, whatever Redis does.
    async fn submit(&self) -> String {
        self.fleet.submit(&json!({ "website_id": "s", "domain": "example.com", "plan_id": "two-v1" })).await
    }

    /// Each run completes, with the first attempt at each of its services.
    async fn all_complete(&self, runs: &[String]) {
        for id in runs {
            let run = self.fleet.settled(id).await;
            assert_eq!(run["status"], "completed", "{run}");
            for service in run["services"].as_array().expect("services") {
                assert_eq!((&service["status"], &service["attempt"]), (&json!("completed"), &json!(1)), "{run}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_accepted_while_redis_is_away_and_complete_when_it_is_back() {
    let mut bench = Bench::new().await;
    bench.redis.kill();
    let mut runs = vec![bench.submit().await, bench.submit().await];
    // Processes that start meanwhile do not mind either.
    bench.fleet.dispatcher.kill().await;
    bench.fleet.restart_dispatcher().await;
    bench.fleet.add_worker().await;
    runs.push(bench.submit().await);
    bench.redis.restart();
    for _ in &runs {
        bench.worker.request().await;
        bench.worker.release();
    }
    bench.all_complete(&runs).await;
    // The one that started without Redis works as well: it is the only one now.
    bench.fleet.workers.remove(0).kill().await;
    let last = bench.submit().await;
    bench.worker.request().await;
    bench.worker.release();
    bench.all_complete(&[last]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_out_of_memory_delays_jobs_and_reports_and_loses_none() {
    let mut bench = Bench::new().await;
    let in_work = bench.submit().await;
    bench.worker.request().await;
    bench.redis.command(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    let refused = bench.submit().await;
    let said = bench.fleet.dispatcher.says("cannot publish jobs").await;
    assert!(said["error"].as_str().expect("a text").contains("full"), "{said}");
    bench.worker.release();
    bench.fleet.workers[0].says("the queue does not answer").await;
    bench.redis.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    bench.worker.request().await;
    bench.worker.release();
    bench.all_complete(&[in_work, refused]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_groups_that_vanish_in_the_middle_of_a_run_are_made_anew() {
    let bench = Bench::new().await;
    let (jobs, reports) = (bench.name(&format!("jobs:{KEY}")), bench.name("reports"));
    let in_work = bench.submit().await;
    bench.worker.request().await;
    bench.redis.command(&["XGROUP", "DESTROY", &jobs, "workers"]).await;
    bench.redis.command(&["XGROUP", "DESTROY", &reports, "dispatchers"]).await;
    let next = bench.submit().await;
    bench.worker.request().await;
    bench.redis.command(&["DEL", &jobs, &reports]).await;
    let last = bench.submit().await;
    for _ in 0..3 {
        bench.worker.release();
    }
    bench.all_complete(&[in_work, next, last]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_restarted_empty_with_reports_on_their_way_costs_a_repetition_of_the_same_attempt() {
    let mut bench = Bench::new().await;
    let run = bench.submit().await;
    let first = bench.worker.request().await;
    bench.fleet.dispatcher.kill().await;
    bench.worker.release();
    while bench.redis.command(&["HLEN", &bench.name("reported")]).await == redis::Value::Int(0) {
        tokio::task::yield_now().await;
    }
    bench.redis.kill();
    bench.redis.restart();
    bench.fleet.restart_dispatcher().await;
    let second = bench.worker.request().await;
    bench.worker.release();
    let keys: BTreeSet<_> = [first, second].iter().map(|one| format!("{:?}", one.headers["idempotency-key"])).collect();
    assert_eq!(keys.len(), 1, "the same attempt, again");
    bench.all_complete(&[run]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_follows_its_sentinels_to_the_new_primary() {
    let watched = Watched::start().await;
    let bench = Bench::at(watched.replica.clone(), &watched.url()).await;
    let before = bench.submit().await;
    bench.worker.request().await;
    watched.primary.kill();
    let meanwhile = bench.submit().await;
    watched.failed_over().await;
    // Enough for jobs that the failover lost, and that are executed again.
    for _ in 0..4 {
        bench.worker.release();
    }
    bench.all_complete(&[before, meanwhile]).await;
}
