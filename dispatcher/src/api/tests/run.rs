//! `POST /api/orchestration/run` and the batch.

use std::time::Duration;

use hermes_core::ports::store::Store;
use serde_json::{Value, json};

use super::world::{World, post, submission, with};

const RUN: &str = "/api/orchestration/run";

#[tokio::test]
async fn a_post_answers_the_customers_summary_once_the_run_is_settled() {
    let world = World::new().await;
    let answer = tokio::spawn(world.send(post(RUN, &submission())));
    let run_id = world.the_run().await;
    world.settle(run_id).await;
    let answer = answer.await.expect("no panic");
    assert_eq!(answer.status, 200, "{answer:?}");
    let summary = answer.body["summary"].clone();
    assert_eq!(answer.body, json!({"success": true, "run_id": run_id, "status": "completed", "summary": summary}));
    let reference = [
        "runId",
        "websiteId",
        "domain",
        "planId",
        "status",
        "startedAt",
        "completedAt",
        "durationMs",
        "servicesCompleted",
        "servicesFailed",
        "servicesTimeout",
        "servicesSkipped",
        "servicesTotal",
        "diagnosisEventId",
        "error",
    ];
    let mut members: Vec<&str> = summary.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut expected = reference.to_vec();
    members.sort_unstable();
    expected.sort_unstable();
    assert_eq!(members, expected);
    assert_eq!(summary["servicesCompleted"], 2);
    assert_eq!(summary["planId"], "standard-v1");
    assert_eq!(summary["error"], Value::Null);
}

#[tokio::test]
async fn a_client_that_does_not_want_to_wait_gets_the_place_to_look() {
    let world = World::new().await;
    let mut silent = submission();
    silent["wait"] = json!(false);
    let requests = [
        (post(RUN, &silent), ""),
        (with(post(RUN, &submission()), "prefer", "respond-async"), "respond-async"),
        (with(post(RUN, &submission()), "prefer", "wait=0"), "wait=0"),
    ];
    for (request, applied) in requests {
        let answer = world.send(request).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let run_id = answer.run_id();
        assert_eq!(answer.body, json!({"success": true, "run_id": run_id, "status": "started"}));
        assert_eq!(answer.header("location"), format!("/api/orchestration/runs/{run_id}"));
        assert_eq!(answer.header("preference-applied"), applied);
        assert_eq!(world.get(answer.header("location")).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_some_seconds_is_answered_then() {
    let world = World::new().await;
    let begun = tokio::time::Instant::now();
    let answer = world.send(with(post(RUN, &submission()), "prefer", "wait=7")).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (202, "wait=7"));
    assert_eq!(begun.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_workers_are_silent_is_answered_by_its_deadline() {
    let world = World::new().await;
    let begun = tokio::time::Instant::now();
    let answer = world.send(post(RUN, &submission())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(["failed", "timeout"].contains(&answer.body["status"].as_str().expect("a status")), "{answer:?}");
    assert!(begun.elapsed() <= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_cannot_see_the_end_is_answered_with_the_place_to_look() {
    let world = World::new().await;
    let answer = tokio::spawn(world.send(post(RUN, &submission())));
    let run_id = world.the_run().await;
    world.store.go_down();
    let answer = answer.await.expect("no panic");
    assert_eq!((answer.status, answer.run_id()), (202, run_id));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_lets_its_waiting_clients_go() {
    let world = World::new().await;
    let begun = tokio::time::Instant::now();
    let answer = tokio::spawn(world.send(post(RUN, &submission())));
    world.the_run().await;
    world.shutdown.cancel();
    assert_eq!(answer.await.expect("no panic").status, 202);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_touch_the_run() {
    let world = World::new().await;
    let request = tokio::spawn(world.send(post(RUN, &submission())));
    let run_id = world.the_run().await;
    request.abort();
    assert!(request.await.expect_err("aborted").is_cancelled());
    world.settle(run_id).await;
    let run = world.store.run(run_id).await.expect("read").expect("there");
    assert_eq!(run.status().as_str(), "completed");
}

#[tokio::test]
async fn an_unknown_plan_is_answered_with_the_available_ones() {
    let world = World::new().await;
    let mut body = submission();
    body["plan_id"] = json!("nope-v1");
    let answer = world.post(RUN, &body).await;
    assert_eq!(answer.problem(), (400, "unknown-plan"));
    assert_eq!(answer.body["available_plans"], json!(["standard-v1"]));
}

#[tokio::test]
async fn the_same_key_and_request_give_the_same_run_and_wait_for_it() {
    let world = World::new().await;
    let keyed = |body: &Value| with(post(RUN, body), "idempotency-key", "k-1");
    let first = tokio::spawn(world.send(keyed(&submission())));
    let run_id = world.the_run().await;
    let second = tokio::spawn(world.send(keyed(&submission())));
    let third = world.send(with(keyed(&submission()), "prefer", "respond-async")).await;
    assert_eq!((third.status, third.run_id()), (202, run_id));
    world.settle(run_id).await;
    for answer in [first, second] {
        let answer = answer.await.expect("no panic");
        assert_eq!((answer.status, answer.run_id()), (200, run_id));
    }
    let other = json!({"website_id": "site_123", "domain": "example.org"});
    assert_eq!(world.send(keyed(&other)).await.problem(), (422, "idempotency-key-reused"));
    assert_eq!(world.store.runs(&Default::default(), None, 10).await.expect("read").len(), 1);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let world = World::new().await;
    for key in ["", "a\tb"] {
        let answer = world.send(with(post(RUN, &submission()), "idempotency-key", key)).await;
        assert_eq!(answer.problem(), (400, "invalid-header"), "{key:?}");
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_order_whatever_is_wrong_with_some() {
    let world = World::new().await;
    let runs = json!({"runs": [
        {"website_id": "one", "domain": "example.com", "idempotency_key": "k"},
        {"website_id": "two", "domain": "no host"},
        "three",
        {"website_id": "four", "domain": "example.com", "plan_id": "nope-v1"},
        {"website_id": "one", "domain": "example.com", "idempotency_key": "k"},
        {"website_id": "six", "domain": "example.com", "idempotency_key": "k"},
        {"website_id": "seven", "domain": "example.com"},
    ]});
    let answer = world.post("/api/orchestration/runs/batch", &runs).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((&answer.body["accepted"], &answer.body["refused"]), (&json!(3), &json!(4)));
    let results = answer.body["results"].as_array().expect("a list");
    let told: Vec<&str> = results
        .iter()
        .map(|result| result["field"].as_str().or(result["type"].as_str()).unwrap_or("accepted"))
        .collect();
    let expected = [
        "accepted",
        "runs[1].domain",
        "runs[2]",
        "urn:hermes:problem:unknown-plan",
        "accepted",
        "urn:hermes:problem:idempotency-key-reused",
        "accepted",
    ];
    assert_eq!(told, expected);
    assert_eq!((&results[4]["run_id"], &results[4]["repeated"]), (&results[0]["run_id"], &json!(true)));
    assert_eq!(world.store.open_runs(None, None, 10).await.expect("read").len(), 2);
}

#[tokio::test]
async fn a_batch_of_none_or_too_many_is_refused() {
    let world = World::new().await;
    for runs in [json!([]), json!(vec![json!({}); 1_001]), json!("x"), Value::Null] {
        let answer = world.post("/api/orchestration/runs/batch", &json!({"runs": runs})).await;
        assert_eq!(answer.problem(), (422, "invalid-value"));
        assert_eq!(answer.body["field"], "runs");
    }
}
