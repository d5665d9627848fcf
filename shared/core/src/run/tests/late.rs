//! Terminal is final: what comes late changes nothing, is counted, and is kept.

use super::world::{RUN_MS, World, completed, failed, plan_with, service};
use crate::json::Json;
use crate::kbase::Fact;
use crate::plan::LateResults;
use crate::run::{Event, Illegal};
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

/// `a` and `b` have timed out with their run, under a plan that wants what comes late.
fn amendable() -> World {
    let mut world = World::start(plan_with(LateResults::Amend, ["a", "b", "c"].map(service).to_vec()));
    world.complete("c");
    world.begin("a");
    world.begin("b");
    world.pass(RUN_MS);
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Timeout);
    world
}

fn evidence(world: &World) -> Vec<String> {
    world.run.evidence_events().map(|(name, event)| format!("{name} {}", event.seq)).collect()
}

#[test]
fn with_the_plans_consent_a_late_result_amends_the_diagnosis_and_settles_nothing() {
    let mut world = amendable();
    let (before, first) = (world.run.summary(), world.run.state().diagnosis_seq);
    let event = world.report("a", 1, completed());
    assert_eq!(world.apply(&event), Ok(1));
    assert!(world.run.awaits_amendment());
    world.synthesise();
    assert_eq!(world.kinds()[world.log.len() - 2..], ["a:late_result", "hermes:diagnosis"]);
    let last = world.log.len() as u64;
    assert_eq!((first, world.run.state().diagnosis_seq), (Some(last - 3), Some(last)), "both are there");
    let after = world.run.summary();
    assert_eq!(after, crate::run::RunSummary { diagnosis_event_id: after.diagnosis_event_id, ..before });
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
    assert_eq!(evidence(&world), [format!("a {}", last - 1), "c 3".to_owned()]);
    assert_eq!(world.apply(&event), Ok(0), "the same report again is none");
    assert!(!world.synthesis_wanted && !world.run.awaits_amendment());
}

#[test]
fn each_late_result_amends_anew() {
    let mut world = amendable();
    for name in ["b", "a"] {
        world.apply(&world.report(name, 1, completed())).expect("known");
        world.synthesise();
    }
    assert_eq!(world.run.state().late_results, 2);
    assert_eq!(evidence(&world).len(), 3);
}

#[test]
fn an_amendment_that_fails_leaves_the_diagnosis_that_there_is() {
    let mut world = amendable();
    let first = world.run.state().diagnosis_seq;
    world.apply(&world.report("a", 1, completed())).expect("known");
    assert_eq!(world.apply(&Event::Synthesised(Err("a defect".to_owned()))), Ok(0));
    assert_eq!((world.run.state().diagnosis_seq, world.run.state().synthesis_error.as_ref()), (first, None));
    world.pass(1);
    assert!(!world.synthesis_wanted, "nobody tries again by himself");
    world.apply(&world.report("b", 1, completed())).expect("known");
    world.synthesise();
    assert_eq!(evidence(&world).len(), 3, "the next one brings in both");
}

#[test]
fn a_late_result_that_comes_before_the_diagnosis_is_in_it() {
    let mut world = World::start(plan_with(LateResults::Amend, ["a", "b"].map(service).to_vec()));
    world.begin("a");
    world.pass(12_000);
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
    world.apply(&world.report("a", 1, completed())).expect("known");
    assert!(!world.synthesis_wanted);
    world.complete("b");
    world.synthesise();
    assert_eq!(evidence(&world).len(), 2);
    assert!(!world.run.awaits_amendment());
    assert_eq!(world.apply(&Event::Synthesised(Err(String::new()))), Err(Illegal::NoSynthesisDue));
}

#[test]
fn a_late_failure_a_cancelled_run_and_an_earlier_revision_amend_nothing() {
    let mut failing = amendable();
    let event = failing.report("a", 1, failed(ErrorClass::ServerError, true, None));
    assert_eq!(failing.apply(&event), Ok(1));
    assert!(!failing.synthesis_wanted);

    let mut cancelled = World::start(plan_with(LateResults::Amend, vec![service("a")]));
    cancelled.begin("a");
    cancelled.apply(&Event::CancelRequested).expect("open");
    cancelled.synthesise();
    assert_eq!(cancelled.apply(&cancelled.report("a", 1, completed())), Ok(1));
    assert!(!cancelled.synthesis_wanted && evidence(&cancelled).is_empty());

    let mut rerun = amendable();
    rerun.apply(&Event::RerunRequested).expect("settled");
    rerun.begin("a");
    rerun.begin("b");
    rerun.pass(RUN_MS);
    rerun.synthesise();
    assert_eq!(rerun.apply(&rerun.report("a", 1, completed())), Ok(1), "kept");
    assert!(!rerun.synthesis_wanted);
    rerun.apply(&rerun.report("a", 2, completed())).expect("known");
    assert!(rerun.synthesis_wanted, "the attempt of this revision counts");
}
