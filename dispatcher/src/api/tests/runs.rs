//! Lists of runs, one run, its diagnosis.

use serde_json::{Value, json};

use super::world::World;

fn ids(body: &Value) -> Vec<&str> {
    let runs = body["runs"].as_array().expect("a list");
    runs.iter().map(|run| run["runId"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn runs_are_listed_newest_first_page_by_page() {
    let world = World::new().await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.insert(0, world.submitted().await.to_string());
    }
    let mut path = "/api/orchestration/runs?limit=2".to_owned();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = world.get(&path).await;
        seen.extend(ids(&page.body).into_iter().map(str::to_owned));
        pages += 1;
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/api/orchestration/runs?limit=2&cursor={cursor}");
    }
    assert_eq!((seen, pages), (all, 3));
}

#[tokio::test]
async fn runs_are_filtered_by_everything_that_is_given() {
    let world = World::new().await;
    let settled = world.settled().await.to_string();
    let open = world.submitted().await.to_string();
    for (query, expected) in [
        ("status=completed", vec![settled.as_str()]),
        ("status=started", vec![open.as_str()]),
        ("plan=quick-v1", vec![]),
        ("website=site_123&domain=example.com", vec![&open, &settled]),
        ("website=other", vec![]),
        ("until=2020-01-01T00:00:00Z", vec![]),
        ("since=2020-01-01T00:00:00Z", vec![&open, &settled]),
    ] {
        let page = world.get(&format!("/api/orchestration/runs?{query}")).await;
        assert_eq!(ids(&page.body), expected, "{query}");
    }
    let wrong = world.get("/api/orchestration/runs?cursor=x").await;
    assert_eq!((wrong.problem(), &wrong.body["field"]), ((422, "invalid-value"), &json!("cursor")));
}

#[tokio::test]
async fn a_run_says_for_each_service_what_it_waits_for() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let answer = world.get(&format!("/api/orchestration/runs/{run_id}")).await;
    let services = &answer.body["services"];
    assert_eq!((&services[0]["status"], &services[0]["attempt"]), (&json!("queued"), &json!(1)));
    assert_eq!(services[0]["waiting"]["worker_key"], "key_a");
    assert_eq!(services[1]["waiting"], json!({"for": "dependencies", "services": ["a"]}));
    world.fail(run_id, "a").await;
    let answer = world.get(&format!("/api/orchestration/runs/{run_id}")).await;
    let services = &answer.body["services"];
    assert_eq!(answer.body["status"], "failed");
    assert_eq!(services[0]["error"], "Worker config invalid: No API key found");
    assert_eq!(services[0]["error_class"], "not_configured");
    assert_eq!((&services[1]["status"], &services[1]["caused_by"]), (&json!("skipped"), &json!("a")));
    assert_eq!(services[1]["waiting"], Value::Null);
    for link in ["self", "events", "plan"] {
        let path = answer.body["links"][link].as_str().expect("a link");
        assert_eq!(world.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_run_that_does_not_exist_is_not_found_whatever_is_asked_of_it() {
    let world = World::new().await;
    for id in ["00000000000000000000000000000000", "abc123xyz"] {
        for rest in ["", "/events", "/diagnosis"] {
            let answer = world.get(&format!("/api/orchestration/runs/{id}{rest}")).await;
            assert_eq!(answer.problem(), (404, "run-not-found"), "{rest}");
        }
        for rest in ["cancel", "rerun"] {
            let answer = world.post(&format!("/api/orchestration/runs/{id}/{rest}"), &json!({})).await;
            assert_eq!(answer.problem(), (404, "run-not-found"), "{rest}");
        }
    }
}

#[tokio::test]
async fn an_open_run_has_no_diagnosis_and_says_when_it_will() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let path = format!("/api/orchestration/runs/{run_id}/diagnosis");
    let answer = world.get(&path).await;
    assert_eq!(answer.problem(), (404, "no-diagnosis"));
    assert_eq!(answer.body["run_status"], "started");
    assert!(answer.body["deadline_at"].is_string());
    world.settle(run_id).await;
    let answer = world.get(&path).await;
    assert_eq!((answer.status, &answer.body["revision"]), (200, &json!(1)));
    assert!(answer.body["diagnosis"].is_object());
}

#[tokio::test]
async fn every_revision_keeps_its_diagnosis() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    world.complete(run_id, "a").await;
    world.fail(run_id, "b").await;
    let path = format!("/api/orchestration/runs/{run_id}");
    let first = world.get(&format!("{path}/diagnosis")).await;
    assert_eq!(world.post(&format!("{path}/rerun"), &json!({})).await.status, 202);
    assert_eq!(world.get(&format!("{path}/diagnosis")).await.problem(), (404, "no-diagnosis"));
    world.complete(run_id, "b").await;
    let second = world.get(&format!("{path}/diagnosis")).await;
    assert_eq!((second.status, &second.body["revision"]), (200, &json!(2)));
    let earlier = world.get(&format!("{path}/diagnosis?revision=1")).await;
    assert_eq!(earlier.body, first.body);
    assert_ne!(earlier.body["event_id"], second.body["event_id"]);
    assert_eq!(world.get(&format!("{path}/diagnosis?revision=2")).await.body, second.body);
    for revision in [0, 3] {
        let answer = world.get(&format!("{path}/diagnosis?revision={revision}")).await;
        assert_eq!(answer.problem(), (404, "no-diagnosis"), "{revision}");
    }
}
