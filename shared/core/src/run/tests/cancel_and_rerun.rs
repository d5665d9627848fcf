//! Cancelling a run, and running again what did not complete.

use super::world::{RUN_MS, World, completed};
use crate::run::{Event, Illegal};
use crate::status::{RunStatus, ServiceStatus};

#[test]
fn cancel_settles_what_is_open_and_keeps_what_completed() {
    let mut world = World::of(&["a", "b", "c after b"]);
    world.complete("a");
    world.begin("b");
    world.apply(&Event::CancelRequested).expect("open");
    assert_eq!(world.status("a"), ServiceStatus::Completed);
    assert_eq!(world.status("b"), ServiceStatus::Cancelled);
    assert_eq!(world.status("c"), ServiceStatus::Cancelled);
    assert_eq!(world.revoked.len(), 1, "the running attempt is told to stop");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Cancelled);
    assert_eq!(world.run.summary().error.as_deref(), Some("The run was cancelled"));
}

#[test]
fn a_settled_run_cannot_be_cancelled() {
    let mut world = World::of(&["a"]);
    world.complete("a");
    world.synthesise();
    assert_eq!(world.apply(&Event::CancelRequested), Err(Illegal::AlreadySettled(RunStatus::Completed)));
}

#[test]
fn a_re_run_opens_a_new_revision_for_what_did_not_complete() {
    let mut world = World::of(&["a", "b", "c after b"]);
    world.complete("a");
    world.fail("b");
    world.synthesise();
    let (first_diagnosis, first_deadline) = (world.run.diagnosis_event_id(), world.run.state().deadline_at);
    world.pass_unnoticed(1_000);
    world.apply(&Event::RerunRequested).expect("settled, with failures");
    assert_eq!(world.run.state().revision, 2);
    assert_eq!(world.run_status(), RunStatus::Started);
    assert_eq!(world.run.state().deadline_at, world.now().plus_ms(RUN_MS));
    assert!(world.run.state().deadline_at > first_deadline);
    assert_eq!(world.status("a"), ServiceStatus::Completed, "what completed is kept");
    assert_eq!(world.published(), ["a/1", "b/1", "b/2"], "attempts are counted on");
    world.complete("b");
    world.complete("c");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_ne!(world.run.diagnosis_event_id(), first_diagnosis, "the diagnosis gets a new revision");
    let kinds = world.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "hermes:diagnosis").count(), 2, "nothing is overwritten");
}

#[test]
fn a_re_run_gives_each_service_its_full_number_of_attempts() {
    let mut world = World::of(&["a"]);
    for _ in 0..3 {
        world.stumble("a");
    }
    world.synthesise();
    world.apply(&Event::RerunRequested).expect("settled");
    for _ in 0..3 {
        assert_eq!(world.status("a"), ServiceStatus::Queued);
        world.stumble("a");
    }
    assert_eq!(world.status("a"), ServiceStatus::Failed);
    assert_eq!(world.state("a").attempt, 6);
}

#[test]
fn an_open_run_and_a_run_where_all_completed_are_not_run_again() {
    let mut world = World::of(&["a"]);
    assert_eq!(world.apply(&Event::RerunRequested), Err(Illegal::NotSettled));
    world.complete("a");
    world.synthesise();
    assert_eq!(world.apply(&Event::RerunRequested), Err(Illegal::NothingToRerun));
}

#[test]
fn a_cancelled_run_can_be_run_again() {
    let mut world = World::of(&["a"]);
    world.apply(&Event::CancelRequested).expect("open");
    world.synthesise();
    world.apply(&Event::RerunRequested).expect("settled");
    world.complete("a");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_result_from_before_the_re_run_is_late_in_the_new_revision() {
    let mut world = World::of(&["a"]);
    world.begin("a");
    world.apply(&Event::CancelRequested).expect("open");
    world.synthesise();
    world.apply(&Event::RerunRequested).expect("settled");
    let stale = world.report("a", 1, completed());
    assert_eq!(world.apply(&stale), Ok(1));
    assert_eq!(world.kinds().last().map(String::as_str), Some("a:late_result"));
    assert_eq!(world.status("a"), ServiceStatus::Queued, "attempt 2 is still open");
}

#[test]
fn the_first_event_of_a_revision_names_it_and_what_it_will_do() {
    let mut world = World::of(&["a", "b"]);
    world.complete("a");
    world.fail("b");
    world.synthesise();
    let before = world.log.len();
    world.apply(&Event::RerunRequested).expect("settled");
    let payload: serde_json::Value = world.log[before].payload.read().expect("JSON");
    assert_eq!(payload["revision"], 2);
    assert_eq!(payload["services_planned"], serde_json::json!(["b"]));
}
