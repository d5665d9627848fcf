//! The log: the reference's shapes, notes of others, and replay.

use serde_json::{Value, json};

use super::world::World;
use crate::json::Json;
use crate::kbase::{Fact, NotedEvent};
use crate::run::{Event, Illegal, ReplayError, replay};

fn payload(world: &World, position: usize) -> Value {
    world.log[position].payload.read().expect("JSON")
}

#[test]
fn the_first_event_has_the_references_members_and_no_others() {
    let world = World::of(&["serp", "tech"]);
    assert_eq!(
        payload(&world, 0),
        json!({
            "status": "started",
            "plan_id": "test-v1",
            "plan_name": "Test",
            "domain": "example.com",
            "started_at": "2025-01-27T10:00:00.000Z",
            "timeout_at": "2025-01-27T10:01:00.000Z",
            "services_planned": ["serp", "tech"],
        })
    );
    assert_eq!((world.log[0].service.as_str(), world.log[0].kind.as_str()), ("hermes", "run_status"));
}

#[test]
fn the_last_event_has_the_references_members_and_no_others() {
    let mut world = World::of(&["serp", "tech"]);
    world.pass_unnoticed(45_000);
    world.complete("serp");
    world.fail("tech");
    world.synthesise();
    let last = world.log.len() - 1;
    assert_eq!(
        payload(&world, last),
        json!({
            "status": "completed",
            "plan_id": "test-v1",
            "domain": "example.com",
            "started_at": "2025-01-27T10:00:00.000Z",
            "completed_at": "2025-01-27T10:00:45.000Z",
            "duration_ms": 45_000,
            "services_completed": 1,
            "services_failed": 1,
            "services_timeout": 0,
            "services_skipped": 0,
            "services_total": 2,
            "diagnosis_event_id": format!("evt_{}_{}", world.run.id(), last),
            "synthesis_error": null,
            "service_results": [
                {"service": "serp", "status": "completed", "duration_ms": 5, "error": null},
                {"service": "tech", "status": "failed", "duration_ms": 7, "error": "it went wrong: authentication"},
            ],
        })
    );
}

#[test]
fn the_summary_has_the_references_members_and_no_others() {
    let mut world = World::of(&["serp"]);
    world.pass_unnoticed(1_500);
    world.complete("serp");
    world.synthesise();
    assert_eq!(
        serde_json::to_value(world.run.summary()).expect("writes"),
        json!({
            "runId": world.run.id().to_string(),
            "websiteId": "site_123",
            "domain": "example.com",
            "planId": "test-v1",
            "status": "completed",
            "startedAt": "2025-01-27T10:00:00.000Z",
            "completedAt": "2025-01-27T10:00:01.500Z",
            "durationMs": 1_500,
            "servicesCompleted": 1,
            "servicesFailed": 0,
            "servicesTimeout": 0,
            "servicesSkipped": 0,
            "servicesTotal": 1,
            "diagnosisEventId": world.run.diagnosis_event_id().map(|id| id.to_string()),
            "error": null,
        })
    );
}

#[test]
fn someone_elses_event_is_kept_in_the_runs_order_also_after_it_settled() {
    let mut world = World::of(&["a"]);
    let note = Event::Noted(NotedEvent {
        service: "notifications".to_owned(),
        kind: "email_request".to_owned(),
        payload: Json::parse(r#"{"recipient":"user@example.com"}"#).expect("valid"),
    });
    assert_eq!(world.apply(&note), Ok(1));
    world.complete("a");
    world.synthesise();
    assert_eq!(world.apply(&note), Ok(1));
    assert_eq!(world.kinds().last().map(String::as_str), Some("notifications:email_request"));
    let numbers: Vec<u64> = world.log.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=world.log.len() as u64).collect::<Vec<_>>(), "without gaps");
}

#[test]
fn nobody_else_writes_events_of_the_orchestrators_types() {
    let mut world = World::of(&["a"]);
    for kind in crate::kbase::RESERVED_TYPES {
        let payload = Json::parse("{}").expect("valid");
        let note = Event::Noted(NotedEvent { service: "hermes".to_owned(), kind: kind.to_owned(), payload });
        assert_eq!(world.apply(&note), Err(Illegal::ReservedType(kind.to_owned())));
    }
}

#[test]
fn every_event_of_a_long_life_reads_back_as_the_fact_it_was_written_from() {
    let mut world = World::of(&["a", "b after a", "c"]);
    world.begin("a");
    world.stumble("a");
    world.fail("a");
    world.pass(60_000);
    world.synthesise();
    world.apply(&Event::RerunRequested).expect("settled");
    for event in &world.log {
        let fact = Fact::from_columns(&event.service, &event.kind, &event.payload).expect("readable");
        assert_eq!(fact.columns(), (event.service.clone(), event.kind.clone(), event.payload.clone()));
    }
}

#[test]
fn a_log_with_a_gap_a_foreign_service_or_no_start_is_not_replayed() {
    let mut world = World::of(&["a", "b"]);
    world.complete("a");
    world.complete("b");
    let plan = world.run.plan().clone();
    let mut gap = world.log.clone();
    gap.remove(1);
    assert!(matches!(replay(plan.clone(), &gap), Err(ReplayError::Gap { expected: 2, found: 3, .. })));
    assert!(matches!(replay(plan.clone(), &world.log[1..]), Err(ReplayError::NoStart(_))));
    assert_eq!(replay(plan.clone(), &[]), Err(ReplayError::Empty));
    let mut foreign = world.log.clone();
    foreign[2].service = "x".to_owned();
    assert_eq!(replay(plan.clone(), &foreign), Err(ReplayError::ForeignService { seq: 3 }));
    let mut damaged = world.log.clone();
    damaged[2].payload = Json::parse("[]").expect("valid");
    assert!(matches!(replay(plan, &damaged), Err(ReplayError::Unreadable(_))));
}
