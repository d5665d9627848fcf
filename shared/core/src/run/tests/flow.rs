//! Readiness, skipping, settling.

use super::world::{World, completed};
use crate::run::{Event, Illegal, Waiting};
use crate::status::{RunStatus, ServiceStatus};
use crate::wire::ErrorClass;

#[test]
fn services_without_dependencies_are_published_at_acceptance() {
    let world = World::of(&["a", "b", "c after a"]);
    assert_eq!(world.published(), ["a/1", "b/1"]);
    assert_eq!(world.run_status(), RunStatus::Started);
    assert_eq!(world.kinds(), ["hermes:run_status", "hermes:wave"]);
    assert_eq!(world.run.state().last_seq, 2);
}

#[test]
fn a_service_is_published_as_soon_as_its_own_dependencies_completed() {
    let mut world = World::of(&["slow", "a", "b after a", "c after a slow"]);
    world.complete("a");
    assert_eq!(world.published(), ["slow/1", "a/1", "b/1"], "b does not wait for slow, c does");
    world.complete("slow");
    assert_eq!(world.published(), ["slow/1", "a/1", "b/1", "c/1"]);
}

#[test]
fn a_run_is_running_once_a_worker_was_seen_at_it() {
    let mut world = World::of(&["a"]);
    assert_eq!(world.run_status(), RunStatus::Started);
    world.begin("a");
    assert_eq!(world.run_status(), RunStatus::Running);
    assert_eq!(world.status("a"), ServiceStatus::Running);
    assert_eq!(world.state("a").worker.as_deref(), Some("worker-1"));
}

#[test]
fn a_dependency_that_failed_makes_its_dependents_skipped_transitively() {
    let mut world = World::of(&["a", "b after a", "c after b", "d"]);
    world.fail("a");
    assert_eq!(world.status("b"), ServiceStatus::Skipped);
    assert_eq!(world.status("c"), ServiceStatus::Skipped);
    assert_eq!(world.status("d"), ServiceStatus::Queued);
    let error = world.state("c").error.as_ref().expect("why");
    assert_eq!(error.message, "Dependencies failed or timed out");
    assert_eq!(error.class, ErrorClass::Dependencies);
}

#[test]
fn the_cause_of_a_skip_is_recorded_back_to_where_it_began() {
    let mut world = World::of(&["a", "b after a", "c after b"]);
    world.fail("a");
    let event = world.log.last().expect("c's end");
    let payload: serde_json::Value = event.payload.read().expect("JSON");
    let chain: Vec<_> = payload["cause"].as_array().expect("a chain").iter().map(|link| &link["service"]).collect();
    assert_eq!(chain, ["b", "a"]);
    assert_eq!(payload["cause"][1]["error"], "it went wrong: authentication");
}

#[test]
fn a_service_is_skipped_while_its_other_dependency_still_runs() {
    let mut world = World::of(&["a", "slow", "c after a slow"]);
    world.fail("a");
    assert_eq!(world.status("c"), ServiceStatus::Skipped);
    assert_eq!(world.status("slow"), ServiceStatus::Queued);
}

#[test]
fn synthesis_is_wanted_when_the_last_service_settles_and_not_before() {
    let mut world = World::of(&["a", "b"]);
    world.complete("a");
    assert!(!world.synthesis_wanted);
    world.fail("b");
    assert!(world.synthesis_wanted);
}

#[test]
fn a_run_completes_whatever_failed_if_one_service_completed() {
    let mut world = World::of(&["a", "b", "c after b"]);
    world.complete("a");
    world.fail("b");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
    let summary = world.run.summary();
    assert_eq!((summary.services_completed, summary.services_failed, summary.services_skipped), (1, 1, 1));
    assert_eq!(summary.diagnosis_event_id, world.run.diagnosis_event_id());
    assert_eq!(summary.error, None);
    assert_eq!(world.run.state().wake_at, None);
}

#[test]
fn a_run_fails_if_no_service_completed_and_still_has_a_diagnosis() {
    let mut world = World::of(&["a", "b after a"]);
    world.fail("a");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert!(world.run.diagnosis_event_id().is_some());
    assert_eq!(world.run.summary().error.as_deref(), Some("No service completed"));
}

#[test]
fn a_run_settles_even_if_synthesis_fails_and_says_why() {
    let mut world = World::of(&["a"]);
    world.complete("a");
    world.apply(&Event::Synthesised(Err("rule IDX-001 is broken".to_owned()))).expect("due");
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.diagnosis_event_id(), None);
    assert_eq!(world.run.summary().error.as_deref(), Some("rule IDX-001 is broken"));
}

#[test]
fn a_diagnosis_that_is_not_due_is_refused() {
    let mut world = World::of(&["a"]);
    let diagnosis = || Event::Synthesised(Err("x".to_owned()));
    assert_eq!(world.apply(&diagnosis()), Err(Illegal::NoSynthesisDue));
    world.complete("a");
    world.synthesise();
    assert_eq!(world.apply(&diagnosis()), Err(Illegal::NoSynthesisDue), "a run settles once");
}

#[test]
fn a_run_whose_synthesis_was_lost_wants_it_again_when_woken() {
    let mut world = World::of(&["a"]);
    world.complete("a");
    assert!(world.run.state().wake_at <= Some(world.now()));
    world.pass(0);
    assert!(world.synthesis_wanted);
}

#[test]
fn required_does_not_change_the_flow() {
    let mut optional = super::world::service("b after a");
    optional.required = false;
    let mut world = World::start(super::world::plan_of(vec![super::world::service("a"), optional]));
    world.complete("a");
    assert_eq!(world.published(), ["a/1", "b/1"]);
    world.fail("b");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_report_about_a_service_or_attempt_that_never_was_is_refused() {
    let mut world = World::of(&["a", "b after a"]);
    let foreign = world.report("x", 1, completed());
    assert!(matches!(world.apply(&foreign), Err(Illegal::UnknownService(_))));
    for (name, attempt) in [("a", 0), ("a", 2), ("b", 1)] {
        let event = world.report(name, attempt, completed());
        assert!(matches!(world.apply(&event), Err(Illegal::UnknownAttempt { .. })), "{name}/{attempt}");
    }
}

#[test]
fn every_service_that_is_not_settled_says_what_it_waits_for() {
    let mut world = World::of(&["a", "b after a c", "c"]);
    world.begin("c");
    world.stumble("c");
    let waiting: Vec<Option<Waiting>> = (0..3).map(|position| world.run.waiting(position)).collect();
    assert!(matches!(&waiting[0], Some(Waiting::Worker { worker_key, .. }) if worker_key.as_str() == "a_key"));
    let names = |list: &[crate::ServiceName]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(matches!(&waiting[1], Some(Waiting::Dependencies { services }) if names(services) == ["a", "c"]));
    assert!(matches!(&waiting[2], Some(Waiting::Worker { .. })));
}
