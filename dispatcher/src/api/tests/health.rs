//! Whether it is there, whether it is ready, what it counts.

use serde_json::json;

use super::world::World;

#[tokio::test]
async fn a_dispatcher_without_its_queue_is_degraded_and_without_its_store_not_ready() {
    let world = World::new().await;
    assert_eq!(world.get("/readyz").await.body["status"], "ok");
    world.queue.go_down();
    let answer = world.get("/readyz").await;
    assert_eq!((answer.status, &answer.body["status"]), (200, &json!("degraded")));
    assert_eq!(answer.body["queue"], "unavailable");
    world.store.go_down();
    let answer = world.get("/readyz").await;
    assert_eq!(answer.problem(), (503, "store-unavailable"));
    assert_eq!((&answer.body["store"], &answer.body["queue"]), (&json!("unavailable"), &json!("unavailable")));
    assert_eq!(world.get("/livez").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_not_ready() {
    let world = World::new().await;
    world.store.hang();
    assert_eq!(world.get("/readyz").await.problem(), (503, "store-unavailable"));
    assert_eq!(world.get("/metrics").await.status, 200);
}

#[tokio::test]
async fn the_customers_health_check_answers() {
    let world = World::new().await;
    let answer = world.get("/api/orchestration/health").await;
    assert_eq!((answer.status, &answer.body["success"], &answer.body["status"]), (200, &json!(true), &json!("ok")));
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_not_by_path() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    world.get(&format!("/api/orchestration/runs/{run_id}")).await;
    world.get("/nothing").await;
    let answer = world.get("/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    for line in [
        r#"hermes_http_requests_total{method="GET",route="/api/orchestration/runs/{id}",status="200"} 1"#,
        r#"hermes_http_requests_total{method="GET",route="none",status="404"} 1"#,
        "hermes_runs_accepted_total 1",
        "hermes_open_runs 1",
    ] {
        assert!(answer.text.lines().any(|found| found == line), "{line}\n{}", answer.text);
    }
    assert!(answer.text.ends_with("# EOF\n"));
    assert!(!answer.text.contains(&run_id.to_string()));
}
