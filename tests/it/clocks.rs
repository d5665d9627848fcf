//! Processes whose wall clocks are wrong, and jump: only the store's clock decides, and only monotonic clocks measure.

use hermes_tests::harness::clock::Clock;
use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::postgres;
use hermes_tests::harness::redis::Redis;
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::{Value, json};

/// Time-out of the service that hangs.
const HANGS_MS: u64 = 3_000;

fn plan() -> Value {
    json!({
        "plan_id": "clocks-v1", "name": "Clocks", "max_duration_ms": 120_000,
        "services": [
            { "service": "hangs", "worker_key": "slow", "timeout_ms": HANGS_MS, "max_attempts": 1 },
            { "service": "lasts", "worker_key": "noop", "timeout_ms": 60_000, "params": { "delay_ms": 1_500 } },
            { "service": "follows", "worker_key": "noop", "timeout_ms": 5_000, "depends_on": ["lasts"] },
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_hours_apart_that_jump_in_mid_run_fire_no_time_out_early_or_late() {
    let hangs = HttpWorker::start(Answer::Never).await;
    let mut external = hangs.environment("slow").to_vec();
    external.push(("HERMES_WORKER_KEYS".to_owned(), "slow,noop".to_owned()));
    let (database, redis) = (postgres::database().await, Redis::shared());
    let mut fleet = Fleet::start(&database, &redis.url(), &redis.prefix(), 0, &external).await;
    fleet.dispatcher.terminate().await;

    let (dispatchers, workers) = (Clock::off_by("+1h"), Clock::off_by("-1h"));
    fleet.restart_dispatcher_with(&dispatchers.environment()).await;
    fleet.add_worker_with(&workers.environment()).await;
    let (status, answer) = fleet.post("/api/orchestration/plans", &plan()).await;
    assert_eq!(status, 201, "{answer}");
    let body = json!({ "website_id": "s", "domain": "example.com", "plan_id": "clocks-v1" });
    let run_id = fleet.submit(&body).await;
    hangs.request().await;
    dispatchers.turn("-2h");
    workers.turn("+3h");

    let run = fleet.settled(&run_id).await;
    assert_eq!(run["status"], "completed", "{run}");
    let service = |name: &str| {
        let services = run["services"].as_array().expect("services");
        services.iter().find(|service| service["service"] == name).expect("a service of the plan")
    };
    assert_eq!(service("hangs")["status"], "timeout");
    assert!(service("hangs")["duration_ms"].as_u64().expect("it was begun") >= HANGS_MS, "not early: {run}");
    assert_eq!((&service("lasts")["status"], &service("lasts")["attempt"]), (&json!("completed"), &json!(1)));
    assert_eq!(service("follows")["status"], "completed");

    let log = fleet.dispatcher.log().join("\n");
    let days: std::collections::BTreeSet<&str> =
        log.lines().filter_map(|line| line.split_once("\"timestamp\":\"")?.1.get(..13)).collect();
    assert!(days.len() >= 2, "the dispatcher's clock did jump: {days:?}");
}
