//! The run's deadline and the reserve of synthesis.

use super::world::{RUN_MS, World, failed};
use crate::status::{RunStatus, ServiceStatus};
use crate::wire::ErrorClass;

const RESERVE_MS: u64 = 2_000;

#[test]
fn at_the_deadline_everything_unfinished_is_timeout_and_synthesis_still_runs() {
    let mut world = World::of(&["done", "running", "queued", "waiting after running"]);
    world.complete("done");
    world.pass(RUN_MS - RESERVE_MS - 1);
    world.begin("running");
    assert_eq!(world.status("queued"), ServiceStatus::Queued);
    world.pass(1);
    for name in ["running", "queued", "waiting"] {
        assert_eq!(world.status(name), ServiceStatus::Timeout, "{name}");
        let error = world.state(name).error.as_ref().expect("why");
        assert_eq!(error.class, ErrorClass::DeadlinePassed, "{name}");
    }
    assert_eq!(world.revoked.len(), 2, "what is in the queue or with a worker is taken back");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Timeout);
    assert!(world.run.diagnosis_event_id().is_some());
    assert_eq!(world.run.summary().services_completed, 1);
}

#[test]
fn the_answer_is_there_by_the_deadline_because_services_end_before_it() {
    let mut world = World::of(&["a"]);
    let wake_at = world.run.state().wake_at.expect("armed");
    assert_eq!(wake_at, world.run.services_until());
    assert_eq!(world.run.state().deadline_at.since_ms(wake_at), RESERVE_MS);
    world.pass(wake_at.since_ms(world.now()));
    world.synthesise();
    assert!(world.run.state().settled_at < Some(world.run.state().deadline_at));
}

#[test]
fn a_run_that_is_woken_long_after_its_deadline_settles_then() {
    let mut world = World::of(&["a"]);
    world.pass(RUN_MS * 100);
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Timeout);
}

#[test]
fn a_report_that_arrives_after_the_deadline_counts_if_it_comes_before_the_wake_up() {
    let mut world = World::of(&["a", "b"]);
    world.pass_unnoticed(RUN_MS);
    world.complete("a");
    assert_eq!(world.status("a"), ServiceStatus::Completed, "it is there, so it is used");
    assert_eq!(world.run.state().wake_at.map(|at| at <= world.now()), Some(true), "the wake-up is due");
    world.pass(0);
    assert_eq!(world.status("b"), ServiceStatus::Timeout);
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Timeout);
}

#[test]
fn a_worker_that_ran_into_the_runs_deadline_makes_the_run_a_timeout() {
    let mut world = World::of(&["a", "b"]);
    world.complete("b");
    let event = world.report("a", 1, failed(ErrorClass::DeadlinePassed, false, None));
    world.apply(&event).expect("known");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Timeout);
}

#[test]
fn nothing_is_published_in_the_reserve() {
    let mut world = World::of(&["a", "b after a"]);
    world.pass_unnoticed(RUN_MS - RESERVE_MS);
    world.complete("a");
    assert_eq!(world.published(), ["a/1"]);
    world.pass(0);
    assert_eq!(world.published(), ["a/1"]);
    assert_eq!(world.status("b"), ServiceStatus::Timeout);
}

#[test]
fn the_reports_of_an_outage_all_count_if_they_come_before_the_wake_up() {
    for outage_ms in [30_000, RUN_MS] {
        let mut world = World::of(&["a", "b", "c after b"]);
        world.begin("a");
        world.begin("b");
        world.pass_unnoticed(outage_ms);
        world.complete("a");
        assert_eq!(world.status("b"), ServiceStatus::Running, "its report may be the next one");
        world.complete("b");
        assert_eq!(world.status("b"), ServiceStatus::Completed);
        let c = if outage_ms < RUN_MS { ServiceStatus::Queued } else { ServiceStatus::Pending };
        assert_eq!(world.status("c"), c, "what time is left is used");
    }
}

#[test]
fn an_open_run_always_has_a_wake_up() {
    let mut world = World::of(&["a", "b after a"]);
    assert!(world.run.state().wake_at.is_some());
    world.stumble("a");
    assert!(world.run.state().wake_at.is_some());
    world.begin("a");
    assert!(world.run.state().wake_at.is_some());
    world.fail("a");
    assert!(world.run.state().wake_at.is_some(), "synthesis is due");
    world.synthesise();
    assert!(world.run.state().wake_at.is_none());
}
