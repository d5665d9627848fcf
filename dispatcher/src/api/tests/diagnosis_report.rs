//! The report of a run in its forms.

use axum::body::Body;
use axum::http::Request;
use hermes_core::RunId;

use super::world::World;

fn path(run_id: RunId, query: &str) -> String {
    format!("/api/orchestration/runs/{run_id}/report{query}")
}

#[tokio::test]
async fn a_browser_gets_a_page_that_may_do_nothing() {
    let world = World::new().await;
    let run_id = world.settled().await;
    let answer = world.get(&path(run_id, "")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.text.starts_with("<!DOCTYPE html>") && answer.text.contains("example.com"), "{}", answer.text);
}

#[tokio::test]
async fn the_form_is_chosen_by_the_query_or_by_what_the_client_accepts() {
    let world = World::new().await;
    let run_id = world.settled().await;
    for (query, media_type) in [
        ("?format=html", "text/html; charset=utf-8"),
        ("?format=md", "text/markdown; charset=utf-8"),
        ("?format=json", "application/json"),
    ] {
        assert_eq!(world.get(&path(run_id, query)).await.header("content-type"), media_type);
    }
    let request = Request::get(path(run_id, "")).header("accept", "text/markdown").body(Body::empty());
    let answer = world.send(request.expect("a request")).await;
    assert!(answer.text.starts_with("# Diagnosis of example"), "{}", answer.text);
    let wrong = world.get(&path(run_id, "?format=doc")).await;
    assert_eq!(wrong.problem(), (422, "invalid-value"));
}

#[tokio::test]
async fn the_history_is_of_the_site_until_the_run_and_has_each_run_once() {
    let world = World::new().await;
    let first = world.settled().await;
    let second = world.settled().await;
    let third = world.settled().await;
    let runs = |answer: &super::world::Answer| -> Vec<RunId> {
        let points = answer.body["history"].as_array().expect("a list").iter();
        points.map(|point| point["run_id"].as_str().expect("an id").parse().expect("an id")).collect()
    };
    assert_eq!(runs(&world.get(&path(second, "?format=json")).await), [first, second]);
    assert_eq!(runs(&world.get(&path(third, "?format=json")).await), [first, second, third]);
}

#[tokio::test]
async fn a_run_without_a_diagnosis_has_no_report_and_says_why() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    assert_eq!(world.get(&path(run_id, "")).await.problem(), (404, "no-diagnosis"));
    assert_eq!(world.get(&path(run_id, "?revision=7")).await.problem(), (404, "no-diagnosis"));
}
