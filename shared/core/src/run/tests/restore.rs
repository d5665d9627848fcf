//! A run that is put together again: from each beginning of its log, and from a stored state; damaged ones are refused.

use super::world::{RUN_MS, World};
use crate::json::Json;
use crate::run::{Event, ReplayError, Run, RunState, replay};
use crate::status::{RunStatus, ServiceStatus};

/// A run with a retry, a skip, a time-out, a late result, a diagnosis, and a second revision.
pub(super) fn eventful() -> World {
    let mut world = World::of(&["a", "b after a", "c", "d after c"]);
    world.begin("a");
    world.stumble("a");
    world.complete("a");
    world.fail("c");
    world.begin("b");
    world.pass(RUN_MS);
    world.synthesise();
    let late = world.report("b", 1, super::world::completed());
    world.apply(&late).expect("known");
    world.apply(&Event::RerunRequested).expect("settled");
    world.complete("b");
    world.complete("c");
    world.complete("d");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
    world
}

#[test]
fn every_beginning_of_a_log_is_a_run_that_agrees_with_what_comes_next() {
    let world = eventful();
    for length in 1..=world.log.len() {
        let run = replay(world.run.plan().clone(), &world.log[..length]).expect("a beginning is whole");
        assert_eq!(run.state().last_seq, length as u64);
        assert_eq!(run.status().is_settled(), run.state().wake_at.is_none(), "after event {length}");
        let restored = Run::restore(world.run.plan().clone(), run.state().clone());
        assert_eq!(restored, Ok(run), "after event {length}");
    }
    assert_eq!(replay(world.run.plan().clone(), &world.log), Ok(world.run));
}

#[test]
fn an_event_that_is_missing_doubled_or_out_of_order_is_named() {
    let world = eventful();
    for position in 1..world.log.len() {
        let due = position as u64 + 1;
        let mut doubled = world.log.clone();
        doubled.insert(position, world.log[position - 1].clone());
        let refusal = replay(world.run.plan().clone(), &doubled).expect_err("doubled");
        assert_eq!(refusal, ReplayError::Gap { run_id: world.run.id(), expected: due, found: due - 1 });
        if position + 1 == world.log.len() {
            break;
        }
        let missing = ReplayError::Gap { run_id: world.run.id(), expected: due, found: due + 1 };
        let mut shorter = world.log.clone();
        shorter.remove(position);
        assert_eq!(replay(world.run.plan().clone(), &shorter), Err(missing.clone()));
        let mut swapped = world.log.clone();
        swapped.swap(position, position + 1);
        assert_eq!(replay(world.run.plan().clone(), &swapped), Err(missing));
    }
}

#[test]
fn a_log_under_a_plan_without_its_services_is_refused_at_the_first_event_that_names_one() {
    let world = eventful();
    let other = super::world::plan(&["a", "b", "c"]);
    assert_eq!(replay(other, &world.log), Err(ReplayError::ForeignService { seq: 1 }));
}

#[test]
fn an_unreadable_event_is_told_with_what_it_is() {
    let world = eventful();
    let mut damaged = world.log.clone();
    damaged[1].payload = Json::parse("{}").expect("valid");
    let refusal = replay(world.run.plan().clone(), &damaged).expect_err("damaged").to_string();
    assert!(refusal.starts_with("event of service 'hermes' and type 'wave' cannot be read: "), "{refusal}");
}

#[test]
fn notes_in_a_log_change_nothing_but_the_number_of_the_last_event() {
    let world = eventful();
    let mut log = world.log.clone();
    let mut note = log[0].clone();
    (note.service, note.kind) = ("someone".to_owned(), "note".to_owned());
    note.seq = log.len() as u64 + 1;
    note.event_id.seq = note.seq;
    log.push(note);
    let noted = replay(world.run.plan().clone(), &log).expect("whole");
    let expected = RunState { last_seq: log.len() as u64, ..world.run.state().clone() };
    assert_eq!(noted.state(), &expected);
}

/// So many services; more than there are begin anew with the first.
fn with_services(state: &mut RunState, count: usize) {
    state.services = (0..count).map(|position| state.services[position % state.services.len()].clone()).collect();
}

#[test]
fn a_stored_state_that_contradicts_itself_or_its_plan_is_refused_with_the_reason() {
    let settled = eventful();
    let open = World::of(&["a", "b after a", "c", "d after c"]);
    type Damage = fn(&mut RunState);
    let damages: [(&World, Damage, &str); 9] = [
        (&open, |state| with_services(state, 3), "it has 3 services, its plan 4"),
        (&open, |state| with_services(state, 5), "it has 5 services, its plan 4"),
        (&open, |state| with_services(state, 0), "it has 0 services, its plan 4"),
        (&open, |state| state.wake_at = None, "status started does not fit settled_at and wake_at"),
        (&open, |state| state.settled_at = Some(state.started_at), "status started does not fit"),
        (&open, |state| state.status = RunStatus::Failed, "status failed does not fit"),
        (&settled, |state| state.settled_at = None, "status completed does not fit"),
        (&settled, |state| state.wake_at = Some(state.started_at), "status completed does not fit"),
        (&open, |state| state.services[2].attempts_before = 2, "attempt 1 is before its revision's first"),
    ];
    for (world, damage, reason) in damages {
        let mut state = world.run.state().clone();
        damage(&mut state);
        let refusal = Run::restore(world.run.plan().clone(), state).expect_err(reason);
        assert_eq!(refusal.run_id, world.run.id());
        assert!(refusal.to_string().contains(reason), "{refusal}, expected {reason}");
    }
}

#[test]
fn a_stored_state_without_one_of_its_members_is_not_read() {
    let world = eventful();
    let whole = serde_json::to_value(world.run.state()).expect("writes");
    let required = ["run_id", "website_id", "domain", "status", "revision", "last_seq", "waves", "services"];
    for member in required {
        let mut state = whole.clone();
        state.as_object_mut().expect("an object").remove(member);
        assert!(serde_json::from_value::<RunState>(state).is_err(), "{member}");
    }
}

#[test]
fn a_stored_state_leaves_out_what_is_usual_and_one_that_spells_everything_out_is_read_too() {
    let world = World::of(&["a"]);
    let short = serde_json::to_string(world.run.state()).expect("writes");
    let common = r#""run_id":"00000000000000000000000000000001","website_id":"site_123","domain":"example.com","status":"started","revision":1,"last_seq":2,"waves":1,"#;
    let service = r#""status":"queued","attempt":1,"#;
    let times =
        r#""created_at":1737972000000,"started_at":1737972000000,"deadline_at":1737972060000,"wake_at":1737972058000,"#;
    let written =
        format!(r#"{{{common}{times}"services":[{{{service}"attempt_timeout_ms":10000,"queued_at":1737972000000}}]}}"#);
    assert_eq!(short, written);
    let spelled_out = format!(
        r#"{{{common}"created_at":"2025-01-27T10:00:00.000Z","started_at":"2025-01-27T10:00:00.000Z",
            "deadline_at":"2025-01-27T10:01:00.000Z","settled_at":null,"wake_at":"2025-01-27T10:00:58.000Z",
            "late_results":0,"services":[{{{service}"attempts_before":0,"attempt_timeout_ms":10000,
            "queued_at":"2025-01-27T10:00:00.000Z","deferred":false,"unanswered":[]}}]}}"#
    );
    assert_eq!(&serde_json::from_str::<RunState>(&spelled_out).expect("reads"), world.run.state());
}

#[test]
fn a_run_put_together_again_goes_on_as_the_run_itself_would() {
    let mut world = World::of(&["a", "b after a", "c"]);
    world.begin("a");
    let replayed = replay(world.run.plan().clone(), &world.log).expect("whole");
    let event = world.report("a", 1, super::world::completed());
    let one = crate::run::decide(&world.run, &event, world.now()).expect("known");
    let two = crate::run::decide(&replayed, &event, world.now()).expect("known");
    assert_eq!(one, two);
}

#[test]
fn the_events_of_results_are_those_that_carry_them() {
    let world = eventful();
    let events: Vec<_> = world.run.result_events().collect();
    assert_eq!(events.len(), 4);
    for (name, id) in events {
        let position = usize::try_from(id.seq).expect("small") - 1;
        let event = &world.log[position];
        assert_eq!((event.event_id, event.service.as_str(), event.kind.as_str()), (id, name.as_str(), "result"));
    }
}

#[test]
fn every_event_carries_the_run_the_website_and_its_own_number() {
    let world = eventful();
    for (position, event) in world.log.iter().enumerate() {
        assert_eq!((event.run_id, event.seq), (world.run.id(), position as u64 + 1));
        assert_eq!((event.event_id.run_id, event.event_id.seq), (event.run_id, event.seq));
        assert_eq!(event.website_id.as_str(), "site_123");
    }
    assert!(world.log.is_sorted_by_key(|event| event.created_at));
}

#[test]
fn a_summary_counts_every_service_once() {
    let mut world = World::of(&["a", "b", "c", "d after b", "e"]);
    world.complete("a");
    world.fail("b");
    let timeout = super::world::failed(crate::wire::ErrorClass::Timeout, false, None);
    let event = world.report("c", 1, timeout);
    world.apply(&event).expect("known");
    let open = world.run.summary();
    assert_eq!((open.status, open.completed_at, open.duration_ms, open.error), (RunStatus::Running, None, None, None));
    world.apply(&Event::CancelRequested).expect("open");
    world.synthesise();
    let summary = world.run.summary();
    let counts = [summary.services_completed, summary.services_failed, summary.services_timeout];
    assert_eq!((counts, summary.services_skipped, summary.services_total), ([1, 1, 1], 1, 5));
    assert_eq!(world.run.count(ServiceStatus::Cancelled), 1);
    assert_eq!(summary.status, RunStatus::Cancelled, "what was cancelled counts more than what completed");
}
