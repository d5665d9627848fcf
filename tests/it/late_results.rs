//! A worker that answers after its run has settled, over real Postgres and Redis, under a plan that wants to know.

use hermes_tests::harness::fleet::Fleet;
use hermes_tests::harness::postgres;
use hermes_tests::harness::redis::Redis;
use hermes_tests::harness::worker::{Answer, HttpWorker};
use serde_json::{Value, json};

fn plan() -> Value {
    json!({
        "plan_id": "patient-v1", "name": "Patient", "max_duration_ms": 60_000, "late_results": "amend",
        "services": [
            {"service": "slow", "worker_key": "slow", "timeout_ms": 1_000},
            {"service": "quick", "worker_key": "noop", "timeout_ms": 10_000},
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_delivers_after_the_end_amends_the_diagnosis_of_a_run_that_stays_settled() {
    let (database_url, redis) = (postgres::database().await, Redis::shared());
    let worker = HttpWorker::start(Answer::Accepted).await;
    let mut external = worker.environment("slow").to_vec();
    external.push(("HERMES_WORKER_KEYS".to_owned(), "slow,noop".to_owned()));
    let fleet = Fleet::start(&database_url, &redis.url(), &redis.prefix(), 1, &external).await;
    let (status, answer) = fleet.post("/api/orchestration/plans", &plan()).await;
    assert_eq!(status, 201, "{answer}");
    let run_id = fleet.submit(&json!({ "website_id": "s", "domain": "example.com", "plan_id": "patient-v1" })).await;
    let accepted = worker.request().await;
    let settled = fleet.settled(&run_id).await;
    assert_eq!((&settled["status"], &settled["services"][0]["status"]), (&json!("completed"), &json!("timeout")));

    let (url, token) = (&accepted.body["callback_url"], &accepted.body["callback_token"]);
    let (url, token) = (url.as_str().expect("a callback"), token.as_str().expect("a token"));
    let late = json!({ "ok": true, "data": { "findings": [{ "title": "A slow truth" }] } });
    let (status, answer) = fleet.post_with_token(url, token, &late).await;
    assert_eq!((status, &answer["counted"]), (200, &json!(false)), "{answer}");

    let path = format!("/api/orchestration/runs/{run_id}/diagnosis");
    let (_, newest) = fleet.get(&path).await;
    let (_, first) = fleet.get(&format!("{path}?edition=1")).await;
    assert_eq!((&newest["event_id"], &newest["editions"]), (&answer["amended_diagnosis"], &json!(2)));
    assert_eq!(newest["diagnosis"]["findings"][0]["title"], "A slow truth");
    assert_eq!(first["diagnosis"]["missing_services"][0]["service"], "slow");
    let summary = newest["diagnosis"]["summary"].as_str().expect("a sentence");
    assert!(summary.contains("All 2 services answered (1 late)"), "{summary}");

    let pool = sqlx::PgPool::connect(&database_url).await.expect("the database");
    let kinds = "SELECT type FROM kbase_events WHERE run_id = $1 ORDER BY seq DESC LIMIT 4";
    let kinds: Vec<String> = sqlx::query_scalar(kinds).bind(&run_id).fetch_all(&pool).await.expect("a log");
    assert_eq!(kinds, ["diagnosis", "late_result", "run_status", "diagnosis"]);
}
