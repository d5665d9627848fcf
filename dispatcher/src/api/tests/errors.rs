//! What is wrong with a request, and what is wrong with us.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use super::world::{World, post, submission, with};

const RUN: &str = "/api/orchestration/run";

fn raw(body: impl Into<Body>) -> Request<Body> {
    Request::post(RUN).body(body.into()).expect("a request")
}

#[tokio::test]
async fn wrong_json_is_answered_with_its_place_and_a_wrong_value_with_its_name() {
    let world = World::new().await;
    let answer = world.send(raw("{\n \"website_id\": oops}")).await;
    assert_eq!(answer.problem(), (400, "invalid-json"));
    assert_eq!((&answer.body["line"], &answer.body["column"]), (&json!(2), &json!(16)));
    let answer = world.send(raw(r#"{"website_id": "s", "domain": "user:pw@example.com"}"#)).await;
    assert_eq!(answer.problem(), (422, "invalid-value"));
    assert_eq!(answer.body["field"], "domain");
    assert_eq!(answer.body["error"], "Invalid value");
    assert_eq!(answer.body["message"], answer.body["detail"]);
}

#[tokio::test]
async fn a_body_over_a_mebibyte_is_refused() {
    let world = World::new().await;
    let answer = world.send(raw(vec![b' '; 1_024 * 1_024 + 1])).await;
    assert_eq!(answer.problem(), (413, "body-too-large"));
}

#[tokio::test]
async fn a_form_is_refused_and_a_missing_type_is_not() {
    let world = World::new().await;
    let form = with(raw("website_id=s"), "content-type", "application/x-www-form-urlencoded");
    assert_eq!(world.send(form).await.problem(), (415, "unsupported-media-type"));
    let untyped = raw(r#"{"website_id": "s", "domain": "example.com", "wait": false}"#);
    assert_eq!(world.send(untyped).await.status, 202);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let world = World::new().await;
    assert_eq!(world.get("/nothing").await.problem(), (404, "unknown-path"));
    assert_eq!(world.get("/api/orchestration/nothing").await.problem(), (404, "unknown-path"));
    assert_eq!(world.get("/api/orchestration/runs/%ff").await.problem(), (404, "unknown-path"));
    let answer = world.get(RUN).await;
    assert_eq!(answer.problem(), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), "POST");
    let answer = world.send(Request::delete("/api/orchestration/plans").body(Body::empty()).expect("a request")).await;
    assert_eq!(answer.problem(), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused_before_anything_happens() {
    let world = World::new().await;
    let request = with(with(post(RUN, &submission()), "host", "localhost:5000"), "origin", "https://evil.example");
    assert_eq!(world.send(request).await.problem(), (403, "foreign-origin"));
    let request = with(post(RUN, &submission()), "host", "evil.example:5000");
    assert_eq!(world.send(request).await.problem(), (421, "foreign-host"));
    assert_eq!(world.get("/api/orchestration/runs").await.body["runs"], json!([]));
}

#[tokio::test]
async fn a_store_that_is_away_is_told_without_its_secrets() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    world.store.go_down();
    for path in ["plans", "runs", &format!("runs/{run_id}"), &format!("runs/{run_id}/events"), "health"] {
        let answer = world.get(&format!("/api/orchestration/{path}")).await;
        assert_eq!(answer.problem(), (503, "store-unavailable"), "{path}");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!answer.text.contains("s3cret"), "{answer:?}");
    }
    assert_eq!(world.post(RUN, &submission()).await.problem(), (503, "store-unavailable"));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_hang_the_client() {
    let world = World::new().await;
    world.store.hang();
    assert_eq!(world.get("/api/orchestration/runs").await.problem(), (503, "timed-out"));
    assert_eq!(world.post(RUN, &submission()).await.problem(), (503, "timed-out"));
}

#[tokio::test]
async fn a_panic_is_an_internal_problem_that_tells_nothing() {
    let world = World::new().await;
    world.store.panic();
    let answer = world.get("/api/orchestration/plans").await;
    assert_eq!(answer.problem(), (500, "internal"));
    assert!(!answer.text.contains("planted"), "{answer:?}");
    assert!(!answer.header("x-request-id").is_empty());
}

#[tokio::test]
async fn every_answer_carries_the_request_id_and_forbids_guessing() {
    let world = World::new().await;
    let request = Request::get("/livez").header("x-request-id", "mine-1").body(Body::empty()).expect("a request");
    let answer = world.send(request).await;
    assert_eq!(answer.header("x-request-id"), "mine-1");
    let answer = world.get("/nothing").await;
    assert_eq!(answer.header("x-request-id").len(), 32);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
}
