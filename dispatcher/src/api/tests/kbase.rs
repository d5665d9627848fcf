//! `/api/kbase/events`.

use serde_json::{Value, json};

use super::world::World;

const EVENTS: &str = "/api/kbase/events";

#[tokio::test]
async fn a_worker_writes_events_of_its_own_under_a_run() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    let body = json!({
        "website_id": "site_123", "run_id": run_id, "service": "notifications", "type": "email_request",
        "payload": {"recipient": "user@example.com"},
    });
    let answer = world.post(EVENTS, &body).await;
    assert_eq!((answer.status, &answer.body["event_id"]), (201, &json!(format!("evt_{run_id}_3"))), "{answer:?}");
    let there = world.get(answer.header("location")).await;
    let event = &there.body["events"][0];
    assert_eq!(event["event_id"], answer.body["event_id"]);
    assert_eq!(event["payload"], body["payload"]);
    let listed = world.get(&format!("{EVENTS}?service=notifications")).await;
    assert_eq!(listed.body["events"], json!([event]));
}

#[tokio::test]
async fn an_event_that_does_not_belong_there_is_refused_by_name() {
    let world = World::new().await;
    let run_id = world.submitted().await;
    for (member, value) in [
        ("website_id", json!("other")),
        ("run_id", json!("x")),
        ("service", json!("hermes")),
        ("service", json!("two words")),
        ("type", json!("result")),
        ("type", json!("two\nlines")),
        ("payload", Value::Null),
    ] {
        let mut body = json!({"run_id": run_id, "service": "s", "type": "note", "payload": {}});
        body[member] = value.clone();
        if value.is_null() {
            body.as_object_mut().expect("an object").remove(member);
        }
        let answer = world.post(EVENTS, &body).await;
        assert_eq!((answer.problem(), &answer.body["field"]), ((422, "invalid-value"), &json!(member)), "{value}");
    }
    let unknown = json!({"run_id": "0".repeat(32), "service": "s", "type": "note", "payload": {}});
    assert_eq!(world.post(EVENTS, &unknown).await.problem(), (404, "run-not-found"));
}

#[tokio::test]
async fn events_are_listed_newest_first_page_by_page() {
    let world = World::new().await;
    let (one, two) = (world.settled().await, world.settled().await);
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    loop {
        let page = world.get(&format!("{EVENTS}?website_id=site_123&type=result&limit=3&cursor={cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let events = page.body["events"].as_array().expect("a list");
        seen.extend(events.iter().map(|event| event["event_id"].as_str().expect("an id").to_owned()));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 4);
    for run_id in [one, two] {
        assert_eq!(seen.iter().filter(|id| id.contains(&run_id.to_string())).count(), 2);
    }
    assert_eq!(world.get(&format!("{EVENTS}?type=result&run_id=x")).await.problem(), (422, "invalid-value"));
}
