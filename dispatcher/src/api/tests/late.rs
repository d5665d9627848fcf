//! Results that come after the end, under a plan that wants them in the diagnosis.

use std::time::Duration;

use hermes_core::RunId;
use hermes_core::wire::Outcome;
use serde_json::{Value, json};

use super::control::{deliver, job};
use super::world::{World, submission, two_steps};

/// A run whose `a` was begun and never answered, and whose `b` was skipped for it.
async fn timed_out(world: &World, late_results: &str) -> RunId {
    let mut plan = two_steps();
    plan["late_results"] = json!(late_results);
    plan["plan_id"] = json!("late-v1");
    assert_eq!(world.post("/api/orchestration/plans", &plan).await.status, 201);
    let mut body = submission();
    (body["wait"], body["plan_id"]) = (json!(false), json!("late-v1"));
    let run_id = world.post("/api/orchestration/run", &body).await.run_id();
    world.report(run_id, "a", Outcome::Started).await;
    let mut watcher = world.engine.watch(run_id);
    tokio::time::advance(Duration::from_secs(30)).await;
    while !world.engine.store().run(run_id).await.expect("read").expect("there").status().is_settled() {
        watcher.changed().await;
    }
    let shown = world.get(&format!("/api/orchestration/runs/{run_id}")).await;
    assert_eq!(shown.body["services"][0]["status"], "timeout");
    assert_eq!(shown.body["status"], "failed");
    run_id
}

async fn diagnosis(world: &World, run_id: RunId, query: &str) -> Value {
    let answer = world.get(&format!("/api/orchestration/runs/{run_id}/diagnosis{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

fn result() -> Value {
    json!({"findings": [{"title": "The door is open", "severity": "high"}]})
}

#[tokio::test(start_paused = true)]
async fn a_late_result_amends_the_diagnosis_and_both_can_be_read() {
    let world = World::new().await;
    let run_id = timed_out(&world, "amend").await;
    let first = diagnosis(&world, run_id, "").await;
    assert_eq!((&first["edition"], &first["editions"]), (&json!(1), &json!(1)));
    assert_eq!(first["diagnosis"]["services_analyzed"], json!([]));

    let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &result()).await;
    assert_eq!(
        (answer.status, &answer.body["counted"], &answer.body["status"]),
        (200, &json!(false), &json!("timeout"))
    );

    let newest = diagnosis(&world, run_id, "").await;
    assert_eq!((&newest["edition"], &newest["editions"]), (&json!(2), &json!(2)));
    assert_eq!(newest["event_id"], answer.body["amended_diagnosis"]);
    let made = &newest["diagnosis"];
    assert_eq!((&made["late_services"], &made["services_analyzed"]), (&json!(["a"]), &json!(["a"])));
    assert_eq!(made["findings"][0]["title"], "The door is open");
    assert_eq!(made["missing_services"][0]["service"], "b");
    assert_eq!(made["missing_services"].as_array().map(Vec::len), Some(1));
    assert_eq!(diagnosis(&world, run_id, "?edition=1").await["diagnosis"], first["diagnosis"]);
    assert_eq!(diagnosis(&world, run_id, "?revision=1&edition=2").await["event_id"], newest["event_id"]);
    let none = world.get(&format!("/api/orchestration/runs/{run_id}/diagnosis?edition=3")).await;
    assert_eq!(none.problem(), (404, "no-diagnosis"));

    let shown = world.get(&format!("/api/orchestration/runs/{run_id}")).await;
    assert_eq!(shown.body["status"], "failed", "it settles once");
    assert_eq!(shown.body["summary"]["diagnosisEventId"], newest["event_id"]);
    let report = |query: &str| format!("/api/orchestration/runs/{run_id}/report?format=md{query}");
    let told = "Answered after the time-out, and counted here: a.";
    assert!(world.get(&report("")).await.text.contains(told));
    assert!(!world.get(&report("&edition=1")).await.text.contains(told));
    assert!(world.get(&format!("/api/orchestration/runs/{run_id}/report")).await.text.contains(told));
}

#[tokio::test(start_paused = true)]
async fn the_same_late_result_again_amends_nothing() {
    let world = World::new().await;
    let run_id = timed_out(&world, "amend").await;
    for amended in [true, false] {
        let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &result()).await;
        assert_eq!(answer.body["amended_diagnosis"].is_string(), amended, "{answer:?}");
    }
    assert_eq!(diagnosis(&world, run_id, "").await["editions"], 2);
}

#[tokio::test(start_paused = true)]
async fn without_the_plans_consent_a_late_result_is_only_kept() {
    let world = World::new().await;
    let run_id = timed_out(&world, "keep").await;
    let first = diagnosis(&world, run_id, "").await;
    let answer = deliver(&world, &job(run_id, 1), &job(run_id, 1), &result()).await;
    assert_eq!((answer.status, &answer.body["amended_diagnosis"]), (200, &Value::Null));
    assert_eq!(diagnosis(&world, run_id, "").await, first);
    let shown = world.get(&format!("/api/orchestration/runs/{run_id}")).await;
    assert_eq!(shown.body["late_results"], 1);
}

#[tokio::test(start_paused = true)]
async fn an_amendment_is_compared_with_what_was_there_before_its_run_settled() {
    let world = World::new().await;
    let before = world.settled().await;
    let run_id = timed_out(&world, "amend").await;
    world.settled().await;
    deliver(&world, &job(run_id, 1), &job(run_id, 1), &result()).await;
    let amended = diagnosis(&world, run_id, "").await;
    assert_eq!(amended["diagnosis"]["what_changed"]["compared_with"], json!(before));
}
