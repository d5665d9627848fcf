//! Terminal is final: what comes late changes nothing, is counted, and is kept.

use super::world::{RUN_MS, World, completed, failed};
use crate::json::Json;
use crate::kbase::Fact;
use crate::run::Event;
use crate::status::{RunStatus, ServiceStatus};
use crate::wire::{ErrorClass, Outcome};

fn timed_out() -> World {
    let mut world = World::of(&["a", "b"]);
    world.complete("b");
    world.begin("a");
    world.pass(RUN_MS);
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Timeout);
    world
}

#[test]
fn a_late_result_is_kept_and_changes_nothing() {
    let mut world = timed_out();
    let (status, settled_at) = (world.run_status(), world.run.state().settled_at);
    let event = world.report("a", 1, completed());
    assert_eq!(world.apply(&event), Ok(1));
    assert_eq!(world.kinds().last().map(String::as_str), Some("a:late_result"));
    assert_eq!(world.run.state().late_results, 1);
    assert_eq!((world.run_status(), world.run.state().settled_at), (status, settled_at));
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
    let payload: serde_json::Value = world.log.last().expect("kept").payload.read().expect("JSON");
    assert_eq!(payload["data"]["answer"], 42);
}

#[test]
fn a_late_result_that_is_null_is_a_result() {
    let mut world = timed_out();
    let result = Json::parse("null").expect("valid");
    let event = world.report("a", 1, Outcome::Completed { duration_ms: 5, result: result.clone() });
    assert_eq!(world.apply(&event), Ok(1));
    let last = world.log.last().expect("kept");
    let fact = Fact::from_columns(&last.service, &last.kind, &last.payload).expect("readable");
    assert!(matches!(fact, Fact::LateReported { result: Some(read), error: None, .. } if read == result));
}

#[test]
fn a_late_result_is_kept_once() {
    let mut world = timed_out();
    let event = world.report("a", 1, completed());
    world.apply(&event).expect("known");
    assert_eq!(world.apply(&event), Ok(0));
    assert_eq!(world.run.state().late_results, 1);
}

#[test]
fn a_late_failure_is_kept_too() {
    let mut world = timed_out();
    let event = world.report("a", 1, failed(ErrorClass::ServerError, true, None));
    assert_eq!(world.apply(&event), Ok(1));
    let payload: serde_json::Value = world.log.last().expect("kept").payload.read().expect("JSON");
    assert_eq!(payload["error_class"], "server_error");
    assert_eq!(world.published(), ["a/1", "b/1"], "and is not tried again");
}

#[test]
fn late_notices_say_nothing() {
    let mut world = timed_out();
    for outcome in [Outcome::Started, Outcome::Deferred] {
        let event = world.report("a", 1, outcome);
        assert_eq!(world.apply(&event), Ok(0));
    }
}

#[test]
fn a_late_result_of_a_settled_service_does_not_touch_a_run_that_goes_on() {
    let mut world = World::of(&["a", "b"]);
    world.begin("a");
    world.pass(12_000);
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
    let event = world.report("a", 1, completed());
    assert_eq!(world.apply(&event), Ok(1));
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
    assert_eq!(world.status("b"), ServiceStatus::Queued);
}

#[test]
fn waking_a_settled_run_changes_nothing() {
    let mut world = timed_out();
    assert_eq!(world.apply(&Event::Woken), Ok(0));
}
