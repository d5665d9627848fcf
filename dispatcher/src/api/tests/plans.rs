//! `/api/orchestration/plans`.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::world::{World, post, two_steps};

const PLANS: &str = "/api/orchestration/plans";

#[tokio::test]
async fn plans_are_listed_in_the_customers_words() {
    let world = World::new().await;
    let answer = world.get(PLANS).await;
    assert_eq!((answer.status, &answer.body["success"]), (200, &json!(true)));
    let plan = &answer.body["plans"][0];
    assert_eq!(plan["plan_id"], "standard-v1");
    assert_eq!(plan["max_duration_ms"], 60_000);
    let expected = json!([
        {
            "service": "a", "displayName": "Service A", "workerKey": "key_a", "dependsOn": [], "required": true,
            "timeoutMs": 20_000, "maxAttempts": 2,
        },
        {
            "service": "b", "displayName": "b", "workerKey": "key_b", "dependsOn": ["a"], "required": false,
            "timeoutMs": 20_000, "maxAttempts": 3,
        },
    ]);
    assert_eq!(plan["services"], expected);
    let one = world.get("/api/orchestration/plans/standard-v1").await;
    assert_eq!((one.status, &one.body["plan"]), (200, plan));
}

#[tokio::test]
async fn a_plan_that_does_not_exist_is_not_found() {
    let world = World::new().await;
    for name in ["nope-v1", "no%20name"] {
        assert_eq!(world.get(&format!("{PLANS}/{name}")).await.problem(), (404, "plan-not-found"));
    }
}

#[tokio::test]
async fn another_content_under_the_same_id_is_the_next_version() {
    let world = World::new().await;
    let again = world.post(PLANS, &two_steps()).await;
    assert_eq!((again.status, &again.body["version"]), (200, &json!(1)));
    let mut changed = two_steps();
    changed["name"] = json!("Changed");
    let answer = world.post(PLANS, &changed).await;
    assert_eq!((answer.status, &answer.body["version"]), (201, &json!(2)));
    assert_eq!(answer.header("location"), "/api/orchestration/plans/standard-v1");
    assert_ne!(answer.body["hash"], again.body["hash"]);
    let shown = world.get(answer.header("location")).await;
    assert_eq!((&shown.body["plan"]["name"], &shown.body["plan"]["hash"]), (&json!("Changed"), &answer.body["hash"]));
}

#[tokio::test]
async fn a_plan_may_be_written_in_yaml() {
    let world = World::new().await;
    let yaml = "plan_id: mine-v1\nname: Mine\nmax_duration_ms: 5000\nservices:\n  - service: x\n    worker_key: x\n    timeout_ms: 1000\n";
    let request = |content_type| {
        let request = Request::post(PLANS).header("content-type", content_type);
        request.body(Body::from(yaml)).expect("a request")
    };
    assert_eq!(world.send(request("application/yaml")).await.status, 201);
    assert_eq!(world.send(request("application/json")).await.problem(), (400, "invalid-json"));
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_plan_is_told_with_its_place() {
    let world = World::new().await;
    let mut plan = two_steps();
    plan["services"][0]["dependsOn"] = json!(["b"]);
    plan["services"][1]["timeoutMs"] = json!(90_000);
    let answer = world.post(PLANS, &plan).await;
    assert_eq!(answer.problem(), (422, "invalid-plan"));
    let paths = |body: &Value| -> Vec<String> {
        let problems = body["problems"].as_array().expect("a list");
        problems.iter().map(|problem| problem["path"].as_str().expect("a path").to_owned()).collect()
    };
    assert_eq!(paths(&answer.body), ["services[1].timeout_ms", "services"]);
    let validated = world.post("/api/orchestration/plans/validate", &plan).await;
    assert_eq!((validated.status, &validated.body["valid"]), (200, &json!(false)));
    assert_eq!(paths(&validated.body), paths(&answer.body));
    assert_eq!(world.post(PLANS, &json!({"plan_id": "x"})).await.problem(), (422, "invalid-plan"));
}

#[tokio::test]
async fn validating_stores_nothing() {
    let world = World::new().await;
    let mut plan = two_steps();
    plan["plan_id"] = json!("new-v1");
    let answer = world.send(post("/api/orchestration/plans/validate", &plan)).await;
    assert_eq!((answer.status, &answer.body["valid"]), (200, &json!(true)));
    assert_eq!(answer.body["hash"], answer.body["plan"]["hash"]);
    assert_eq!(world.get("/api/orchestration/plans/new-v1").await.status, 404);
}
