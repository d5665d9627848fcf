//! The difference between two runs.

use hermes_core::ports::store::Store;
use serde_json::json;

use super::world::World;

#[tokio::test]
async fn two_runs_of_a_site_are_compared_and_a_service_that_is_missing_is_told() {
    let world = World::new().await;
    let first = world.settled().await;
    let second = world.submitted().await;
    world.fail(second, "a").await;
    let settled = world.store.run(second).await.expect("read").expect("there");
    assert!(settled.status().is_settled());
    let answer = world.get(&format!("/api/orchestration/runs/{first}/diff/{second}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((&answer.body["from"], &answer.body["to"]), (&json!(first), &json!(second)));
    assert_eq!((&answer.body["status"], &answer.body["compared_with"]), (&json!("compared"), &json!(first)));
    for list in ["new", "fixed", "worse", "better", "not_comparable"] {
        assert_eq!(answer.body[list], json!([]), "{list}");
    }
    assert_eq!(answer.body["unchanged"], 0);
}

#[tokio::test]
async fn runs_of_two_sites_are_not_comparable_and_it_is_said_why() {
    let world = World::new().await;
    let first = world.settled().await;
    let mut other = super::world::submission();
    other["domain"] = json!("example.org");
    other["wait"] = json!(false);
    let second = world.post("/api/orchestration/run", &other).await.run_id();
    world.settle(second).await;
    let answer = world.get(&format!("/api/orchestration/runs/{first}/diff/{second}")).await;
    assert_eq!(answer.body["status"], "not_comparable", "{answer:?}");
    let reason = answer.body["reason"].as_str().expect("a reason");
    assert!(reason.contains("example.com") && reason.contains("example.org"), "{reason}");
}

#[tokio::test]
async fn a_run_that_does_not_exist_or_has_no_diagnosis_is_told_apart() {
    let world = World::new().await;
    let (settled, open) = (world.settled().await, world.submitted().await);
    let path = |a: &str, b: &str| format!("/api/orchestration/runs/{a}/diff/{b}");
    let (settled, open) = (settled.to_string(), open.to_string());
    assert_eq!(world.get(&path(&settled, "7")).await.problem(), (404, "run-not-found"));
    assert_eq!(world.get(&path(&settled, &open)).await.problem(), (404, "no-diagnosis"));
}
