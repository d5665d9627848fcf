//! Cancel, re-run, and results that external workers deliver later.

use axum::body::Body;
use axum::http::Request;
use hermes_core::wire::{JobId, Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, RunId};
use serde_json::{Value, json};

use super::world::{Answer, World, post, with};

async fn command(world: &World, run_id: RunId, what: &str) -> Answer {
    let path = format!("/api/orchestration/runs/{run_id}/{what}");
    world.send(Request::post(path).body(Body::empty()).expect("a request")).await
}

#[tokio::test]
async fn cancelling_settles_the_run_and_may_be_repeated() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    for _ in 0..2 {
        let answer = command(&world, run_id, "cancel").await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("cancelled")), "{answer:?}");
        assert_eq!(answer.body["services"][0]["status"], "cancelled");
    }
}

#[tokio::test]
async fn a_settled_run_cannot_be_cancelled() {
    let world = World::new().await;
    let run_id = world.settled().await;
    let answer = command(&world, run_id, "cancel").await;
    assert_eq!(answer.problem(), (409, "already-settled"));
    assert_eq!(answer.body["run_status"], "completed");
}

#[tokio::test]
async fn only_a_settled_run_with_something_missing_can_be_run_again() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    assert_eq!(command(&world, run_id, "rerun").await.problem(), (409, "not-settled"));
    world.complete(run_id, "a").await;
    world.fail(run_id, "b").await;
    let answer = command(&world, run_id, "rerun").await;
    assert_eq!((answer.status, &answer.body["revision"]), (202, &json!(2)), "{answer:?}");
    assert_eq!(answer.header("location"), format!("/api/orchestration/runs/{run_id}"));
    world.complete(run_id, "b").await;
    assert_eq!(command(&world, run_id, "rerun").await.problem(), (409, "nothing-to-rerun"));
}

pub(super) fn job(run_id: RunId, attempt: u32) -> JobId {
    JobId { run_id, service: "a".parse().expect("a name"), attempt }
}

pub(super) async fn deliver(world: &World, path_of: &JobId, token_of: &JobId, body: &Value) -> Answer {
    let JobId { run_id, service, attempt } = path_of;
    let path = format!("/api/orchestration/runs/{run_id}/services/{service}/attempts/{attempt}/result");
    let token = format!("Bearer {}", world.engine.callback_signer().token(token_of));
    world.send(with(post(&path, body), "authorization", &token)).await
}

#[tokio::test]
async fn a_worker_delivers_its_result_later_and_may_repeat_itself() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    for _ in 0..2 {
        let body = json!({"ok": true, "data": {"signals": []}});
        let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &body).await;
        assert_eq!((answer.status, &answer.body["counted"]), (200, &json!(true)), "{answer:?}");
        assert_eq!(answer.body["status"], "completed");
    }
}

async fn report(world: &World, path_of: &JobId, token_of: &JobId, report: &Report) -> Answer {
    let JobId { run_id, service, attempt } = path_of;
    let path = format!("/api/orchestration/runs/{run_id}/services/{service}/attempts/{attempt}/report");
    let token = format!("Bearer {}", world.engine.callback_signer().token(token_of));
    world.send(with(post(&path, &json!(report)), "authorization", &token)).await
}

fn completed(job: &JobId) -> Report {
    let outcome = Outcome::Completed { duration_ms: 7, result: Json::parse("{}").expect("valid") };
    Report { v: WIRE_VERSION, job: job.clone(), worker: "worker-1".to_owned(), outcome }
}

#[tokio::test]
async fn a_worker_runner_without_a_queue_reports_here_and_may_repeat_itself() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let job = job(run_id, 1);
    for _ in 0..2 {
        let answer = report(&world, &job, &job, &completed(&job)).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("completed")), "{answer:?}");
    }
}

#[tokio::test]
async fn a_report_needs_the_token_and_the_address_of_its_own_attempt() {
    let world = World::new().await;
    let (run_id, other) = (world.submitted().await, world.submitted().await);
    let (mine, others) = (job(run_id, 1), job(other, 1));
    assert_eq!(report(&world, &mine, &others, &completed(&mine)).await.problem(), (401, "unauthorized"));
    assert_eq!(report(&world, &mine, &mine, &completed(&others)).await.status, 422);
    let newer = Report { v: WIRE_VERSION + 1, ..completed(&mine) };
    assert_eq!(report(&world, &mine, &mine, &newer).await.status, 422);
    let shown = world.get(&format!("/api/orchestration/runs/{other}")).await;
    assert_eq!(shown.body["services"][0]["status"], "queued");
}

#[tokio::test]
async fn a_worker_that_failed_says_so_and_another_attempt_may_follow() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let body = json!({"ok": false, "error": {"code": "upstream_error", "message": "provider is down"}});
    let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &body).await;
    assert_eq!(
        (&answer.body["counted"], &answer.body["status"]),
        (&json!(true), &json!("queued")),
        "without jitter at once: {answer:?}"
    );
    let body = json!({"late": true});
    let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &body).await;
    assert_eq!((answer.status, &answer.body["counted"]), (200, &json!(false)), "{answer:?}");
}

#[tokio::test]
async fn a_result_after_the_end_does_not_count() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    command(&world, run_id, "cancel").await;
    let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &json!({"late": true})).await;
    assert_eq!((answer.status, &answer.body["counted"]), (200, &json!(false)), "{answer:?}");
    let shown = world.get(&format!("/api/orchestration/runs/{run_id}")).await;
    assert_eq!((&shown.body["status"], &shown.body["late_results"]), (&json!("cancelled"), &json!(1)));
}

#[tokio::test]
async fn a_token_opens_its_own_attempt_only() {
    let world = World::new().await;
    let (run_id, other) = (world.submitted().await, world.submitted().await);
    for token_of in [job(run_id, 2), job(other, 1)] {
        let answer = deliver(&world, &job(run_id, 1), &token_of, &json!({})).await;
        assert_eq!(answer.problem(), (401, "unauthorized"));
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    let path = format!("/api/orchestration/runs/{run_id}/services/a/attempts/1/result");
    assert_eq!(world.post(&path, &json!({})).await.problem(), (401, "unauthorized"));
}

#[tokio::test]
async fn an_attempt_that_was_never_made_is_not_found() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let answer = deliver(&world, &job(run_id, 9), &job(run_id, 9), &json!({})).await;
    assert_eq!(answer.problem(), (404, "attempt-not-found"));
    let path = format!("/api/orchestration/runs/{run_id}/services/a/attempts/one/result");
    assert_eq!(world.post(&path, &json!({})).await.problem(), (404, "attempt-not-found"));
}

#[tokio::test]
async fn a_result_of_another_shape_is_refused_and_may_be_corrected() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &json!([1])).await;
    assert_eq!(answer.problem(), (422, "invalid-value"));
    let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &json!({"fine": true})).await;
    assert_eq!(answer.body["counted"], true);
}
