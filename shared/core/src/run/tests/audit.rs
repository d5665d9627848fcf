//! The auditor: each invariant is broken once in a log that was whole, and exactly that is found.
//!
//! A log is damaged as a list of facts, then numbered again and replayed, so that the row tells the same lie as the log:
//! what is found is found by the walk. Damages of the row and of single events follow after.

use std::collections::BTreeSet;

use super::restore::eventful;
use super::world::{RUN_MS, World, completed, plan_with, service};
use crate::audit::{Invariant, RunAudit, Tally, audit_run};
use crate::ids::EventId;
use crate::json::Json;
use crate::kbase::{CauseLink, Fact, KbaseEvent, NotedEvent, RunEnd, RunStart, ServiceEnd};
use crate::limits::{AUDIT_SLACK_MS, AUDIT_VIOLATIONS_PER_RUN_MAX};
use crate::plan::LateResults;
use crate::run::{Event, Run, RunState, replay};
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;

type Log = Vec<(Fact, Timestamp)>;

/// Number of a diagnosis that a test wants to stay wrong.
const NOWHERE: u64 = 999;

fn facts(world: &World) -> Log {
    let read = |event: &KbaseEvent| Fact::from_columns(&event.service, &event.kind, &event.payload);
    world.log.iter().map(|event| (read(event).expect("readable"), event.created_at)).collect()
}

/// The log numbered again, and the row that is its replay.
fn stored(world: &World, mut log: Log) -> (Run, Vec<KbaseEvent>) {
    let mut diagnosis = 0;
    for ((fact, _), seq) in log.iter_mut().zip(1..) {
        match fact {
            Fact::Diagnosed { .. } => diagnosis = seq,
            Fact::RunSettled(RunEnd { diagnosis_event_id: Some(id), .. }) if id.seq != NOWHERE => id.seq = diagnosis,
            _ => {}
        }
    }
    let events: Vec<_> = log.iter().zip(1..).map(|((fact, at), seq)| world.run.event(seq, fact, *at)).collect();
    (replay(world.run.plan().clone(), &events).expect("the log is whole, if not true"), events)
}

fn codes(run: &Run, events: &[KbaseEvent], now: Timestamp) -> BTreeSet<&'static str> {
    let violations = audit_run(run, events, now);
    assert!(violations.iter().all(|violation| violation.run_id == Some(run.id())));
    violations.iter().map(|violation| violation.invariant.code()).collect()
}

fn place(log: &Log, is: impl Fn(&Fact) -> bool) -> usize {
    log.iter().position(|(fact, _)| is(fact)).expect("the log has such a fact")
}

fn last_place(log: &Log, is: impl Fn(&Fact) -> bool) -> usize {
    log.iter().rposition(|(fact, _)| is(fact)).expect("the log has such a fact")
}

fn is_start(fact: &Fact) -> bool {
    matches!(fact, Fact::RunStarted(_))
}

fn is_end(fact: &Fact) -> bool {
    matches!(fact, Fact::RunSettled(_))
}

fn is_diagnosis(fact: &Fact) -> bool {
    matches!(fact, Fact::Diagnosed { .. })
}

fn queues(name: &str) -> impl Fn(&Fact) -> bool {
    move |fact| matches!(fact, Fact::WaveQueued { services, .. } if services.iter().any(|q| q.service.as_str() == name))
}

fn completes(name: &str) -> impl Fn(&Fact) -> bool {
    move |fact| matches!(fact, Fact::ServiceCompleted(result) if result.service.as_str() == name)
}

fn ends(name: &str) -> impl Fn(&Fact) -> bool {
    move |fact| matches!(fact, Fact::ServiceEnded(end) if end.service.as_str() == name)
}

fn start_at(log: &mut Log, place: usize) -> &mut RunStart {
    let Fact::RunStarted(start) = &mut log[place].0 else { panic!("not a start") };
    start
}

fn end_at(log: &mut Log, place: usize) -> &mut RunEnd {
    let Fact::RunSettled(end) = &mut log[place].0 else { panic!("not a settlement") };
    end
}

fn service_end<'a>(log: &'a mut Log, name: &str) -> &'a mut ServiceEnd {
    let place = place(log, ends(name));
    let Fact::ServiceEnded(end) = &mut log[place].0 else { panic!("not an end") };
    end
}

fn queued_in(log: &mut Log, place: usize) -> &mut crate::kbase::QueuedService {
    let Fact::WaveQueued { services, .. } = &mut log[place].0 else { panic!("not a wave") };
    &mut services[0]
}

/// Inserts a copy of an event before `to`.
fn copy(log: &mut Log, from: usize, to: usize) {
    let copied = log[from].clone();
    log.insert(to, copied);
}

/// What is damaged, the codes that must be found, and how it is done.
type Damage = (&'static str, &'static [&'static str], fn(&mut Log));

fn check(damages: &[Damage]) {
    let world = eventful();
    for (what, expected, damage) in damages {
        let mut log = facts(&world);
        damage(&mut log);
        assert_ne!(log, facts(&world), "{what}: something was damaged");
        let (run, events) = stored(&world, log);
        let found = audit_run(&run, &events, world.now());
        assert_eq!(codes(&run, &events, world.now()), expected.iter().copied().collect(), "{what}: {found:?}");
    }
}

#[test]
fn a_whole_log_has_no_violation_and_is_counted() {
    let world = eventful();
    let mut audit = RunAudit::new(&world.run, world.now(), AUDIT_SLACK_MS);
    world.log.iter().for_each(|event| audit.take(event));
    let (violations, tally) = audit.finish();
    assert_eq!(violations, []);
    let expected = Tally {
        stores: 0,
        runs: 1,
        events: world.log.len() as u64,
        services: 4,
        settlements: 2,
        reruns: 1,
        attempts: 7,
        executions: 7,
        starts: 2,
        late_results: 1,
        skips: 1,
        diagnoses: 2,
        notes: 0,
    };
    assert_eq!(tally, expected);
    let unchecked = Invariant::ALL.into_iter().filter(|invariant| tally.checked(*invariant) == 0);
    assert_eq!(unchecked.collect::<Vec<_>>(), [Invariant::StoreIsSound], "it needs the database");
}

#[test]
fn a_first_revision_is_no_rerun_and_a_note_is_counted() {
    let mut world = World::of(&["a"]);
    world.apply(&note()).expect("every run takes notes");
    world.complete("a");
    world.synthesise();
    let mut audit = RunAudit::new(&world.run, world.now(), AUDIT_SLACK_MS);
    world.log.iter().for_each(|event| audit.take(event));
    let (_, tally) = audit.finish();
    assert_eq!((tally.reruns, tally.notes), (0, 1));
}

fn note() -> Event {
    let payload = Json::parse("{}").expect("valid");
    Event::Noted(NotedEvent { service: "x".to_owned(), kind: "note".to_owned(), payload })
}

#[test]
fn what_is_found_names_event_and_service() {
    let world = eventful();
    let mut log = facts(&world);
    service_end(&mut log, "b").attempt = 7;
    let seq = place(&log, ends("b")) + 1;
    let (run, events) = stored(&world, log);
    let violations = audit_run(&run, &events, world.now());
    let [violation] = violations.as_slice() else { panic!("one violation: {violations:?}") };
    assert!(violation.detail.starts_with(&format!("event {seq}: service 'b' ")), "{violation}");
}

#[test]
fn what_settles_twice_not_at_all_or_out_of_turn_is_found() {
    check(&[
        ("a run settles twice", &["I4"], |log| copy(log, log.len() - 1, log.len())),
        ("a service completes twice", &["I4"], |log| {
            let place = place(log, completes("a"));
            copy(log, place, place + 1);
        }),
        ("a service is skipped twice", &["I4"], |log| {
            let place = place(log, ends("d"));
            copy(log, place, place + 1);
        }),
        ("a service never settles", &["I4"], |log| drop(log.remove(last_place(log, completes("d"))))),
        ("a revision never settles", &["I4"], |log| {
            let place = place(log, is_diagnosis);
            log.drain(place..place + 2);
        }),
        ("a revision is left out", &["I4"], |log| {
            let place = last_place(log, is_start);
            start_at(log, place).revision = 3;
        }),
        ("a re-run leaves out what did not complete", &["I23", "I4", "I8"], |log| {
            let place = last_place(log, is_start);
            start_at(log, place).services_planned.pop();
        }),
    ]);
}

#[test]
fn a_settlement_without_its_one_diagnosis_is_found() {
    check(&[
        ("no diagnosis was made", &["I5"], |log| drop(log.remove(last_place(log, is_diagnosis)))),
        ("the settlement names none", &["I5"], |log| {
            let place = last_place(log, is_end);
            end_at(log, place).diagnosis_event_id = None;
        }),
        ("the settlement names another", &["I5"], |log| {
            let place = last_place(log, is_end);
            let end = end_at(log, place);
            end.diagnosis_event_id = end.diagnosis_event_id.map(|id| EventId { seq: NOWHERE, ..id });
        }),
        ("the settlement has a diagnosis and a reason for none", &["I5"], |log| {
            let place = last_place(log, is_end);
            end_at(log, place).synthesis_error = Some("no".to_owned());
        }),
        ("neither diagnosis nor reason", &["I5"], |log| {
            log.remove(last_place(log, is_diagnosis));
            let place = last_place(log, is_end);
            end_at(log, place).diagnosis_event_id = None;
        }),
        ("the settlement has another time", &["I5"], |log| {
            let place = last_place(log, is_diagnosis);
            log[place].1 = log[place].1.minus_ms(1);
        }),
        ("two diagnoses", &["I5"], |log| {
            let place = last_place(log, is_diagnosis);
            copy(log, place, place);
        }),
        ("something comes between the diagnosis and its settlement", &["I5"], |log| {
            let Event::Noted(note) = note() else { unreachable!("it is one") };
            let (place, at) = (last_place(log, is_end), log[log.len() - 1].1);
            log.insert(place, (Fact::Noted(note), at));
        }),
        ("nothing comes after the diagnosis", &["I5"], |log| drop(log.pop())),
        ("a diagnosis after the end", &["I8"], |log| {
            let place = last_place(log, is_diagnosis);
            copy(log, place, log.len());
        }),
    ]);
}

#[test]
fn a_service_that_does_not_wait_for_its_dependencies_is_found() {
    check(&[
        ("before its dependency completed", &["I6"], |log| {
            let place = place(log, completes("a"));
            log.swap(place, place + 1);
        }),
        ("although its dependency failed", &["I6", "I23"], |log| {
            let (place, wave) = (place(log, ends("d")), last_place(log, queues("d")));
            copy(log, wave, place);
            log[place].1 = log[0].1;
            let end = service_end(log, "d");
            end.cause.clear();
            (end.status, end.attempt, end.answered) = (ServiceStatus::Failed, 1, true);
            // The number is taken now.
            let wave = last_place(log, queues("d"));
            queued_in(log, wave).attempt = 2;
            let done = last_place(log, completes("d"));
            if let Fact::ServiceCompleted(result) = &mut log[done].0 {
                result.attempt = 2;
            }
        }),
    ]);
}

#[test]
fn attempts_out_of_order_and_answers_of_others_are_found() {
    check(&[
        ("an attempt is left out", &["I7"], |log| {
            let place = last_place(log, queues("d"));
            queued_in(log, place).attempt = 2;
            let done = last_place(log, completes("d"));
            if let Fact::ServiceCompleted(result) = &mut log[done].0 {
                result.attempt = 2;
            }
        }),
        ("two attempts are open", &["I7"], |log| {
            let place = last_place(log, queues("d"));
            copy(log, place, place + 1);
            queued_in(log, place + 1).attempt = 2;
            let done = last_place(log, completes("d"));
            if let Fact::ServiceCompleted(result) = &mut log[done].0 {
                result.attempt = 2;
            }
        }),
        ("a closed attempt is answered", &["I7"], |log| {
            let place = place(log, completes("a"));
            if let Fact::ServiceCompleted(result) = &mut log[place].0 {
                result.attempt = 1;
            }
        }),
        ("an attempt that is not open begins", &["I7"], |log| {
            let place = place(log, |fact| matches!(fact, Fact::ServiceStarted { .. }));
            if let Fact::ServiceStarted { attempt, .. } = &mut log[place].0 {
                *attempt = 2;
            }
        }),
        ("an answered attempt is reported late", &["I7"], |log| {
            let place = place(log, |fact| matches!(fact, Fact::LateReported { .. }));
            copy(log, place, place + 1);
        }),
        ("a retry does not wait", &["I7"], |log| {
            let place = place(log, |fact| matches!(fact, Fact::AttemptFailed { .. }));
            if let Fact::AttemptFailed { retry_at, .. } = &mut log[place].0 {
                *retry_at = retry_at.plus_ms(1);
            }
        }),
        ("a service ends with an attempt that it did not make", &["I7"], |log| service_end(log, "b").attempt = 7),
    ]);
}

#[test]
fn more_attempts_than_the_plan_allows_are_found() {
    let mut world = World::of(&["a"]);
    world.stumble("a");
    world.stumble("a");
    let log = facts(&world);
    let (failed, wave) = (log[log.len() - 2].clone(), log[log.len() - 1].clone());
    let mut damaged = [log, vec![failed, wave]].concat();
    let last = damaged.len() - 1;
    queued_in(&mut damaged, last).attempt = 4;
    if let Fact::AttemptFailed { attempt, .. } = &mut damaged[last - 1].0 {
        *attempt = 3;
    }
    let (run, events) = stored(&world, damaged);
    assert_eq!(codes(&run, &events, world.now()), BTreeSet::from(["I7"]));
}

#[test]
fn a_change_after_the_end_is_found() {
    check(&[
        ("a service is queued after the end", &["I8"], |log| {
            let place = last_place(log, queues("d"));
            copy(log, place, log.len());
        }),
        ("a service begins again after it has completed", &["I8"], |log| {
            let begins = place(log, |fact| matches!(fact, Fact::ServiceStarted { .. }));
            let done = place(log, completes("a"));
            copy(log, begins, done + 1);
        }),
        ("a service begins after the end, which opens the run again", &["I3", "I8"], |log| {
            let place = place(log, |fact| matches!(fact, Fact::ServiceStarted { .. }));
            copy(log, place, log.len());
        }),
        ("an attempt fails after the end, which opens the run again", &["I3", "I8"], |log| {
            let place = place(log, |fact| matches!(fact, Fact::AttemptFailed { .. }));
            copy(log, place, log.len());
        }),
        ("what had completed is run again", &["I4", "I6", "I8"], |log| {
            let place = last_place(log, is_start);
            start_at(log, place).services_planned.insert(0, "a".parse().expect("valid"));
        }),
    ]);
}

#[test]
fn limits_of_time_that_are_not_kept_are_found() {
    check(&[
        ("an attempt may take longer than its service", &["I13"], |log| queued_in(log, 1).timeout_ms += 1),
        ("a service is queued when there is no time left", &["I13"], |log| {
            let place = last_place(log, queues("d"));
            log[place].1 = log[place].1.plus_ms(RUN_MS);
        }),
        ("a service is timed out early", &["I13"], |log| {
            let place = place(log, ends("b"));
            log[place].1 = log[0].1.plus_ms(11_999);
        }),
        ("a deadline is not the plan's", &["I3"], |log| {
            let place = last_place(log, is_start);
            let start = start_at(log, place);
            start.timeout_at = start.timeout_at.plus_ms(1);
        }),
        ("a run settles long after its deadline", &["I3"], |log| {
            let place = last_place(log, is_end);
            let end = end_at(log, place);
            end.completed_at = end.completed_at.plus_ms(RUN_MS + AUDIT_SLACK_MS + 1);
        }),
    ]);
}

#[test]
fn a_run_may_settle_as_much_after_its_deadline_as_is_excused() {
    let mut world = World::of(&["a"]);
    world.begin("a");
    world.pass(RUN_MS + AUDIT_SLACK_MS);
    world.synthesise();
    assert!(world.run.status().is_settled());
    assert_eq!(codes(&world.run, &world.log, world.now()), BTreeSet::new());
    let mut strict = RunAudit::new(&world.run, world.now(), AUDIT_SLACK_MS - 1);
    world.log.iter().for_each(|event| strict.take(event));
    let found: Vec<Invariant> = strict.finish().0.iter().map(|violation| violation.invariant).collect();
    assert_eq!(found, [Invariant::SettlesInTime]);
}

#[test]
fn a_skip_that_explains_nothing_is_found() {
    check(&[
        ("no cause", &["I21"], |log| service_end(log, "d").cause.clear()),
        ("a cause that is no dependency", &["I21"], |log| {
            service_end(log, "d").cause[0].service = "a".parse().expect("valid");
        }),
        ("a cause that ended otherwise", &["I21"], |log| {
            service_end(log, "d").cause[0].status = ServiceStatus::Timeout
        }),
        ("a cause of what was not skipped", &["I21"], |log| {
            service_end(log, "c").cause = service_end(log, "d").cause.clone();
        }),
    ]);
}

#[test]
fn a_chain_that_ends_in_a_skipped_service_is_found() {
    let mut world = World::of(&["a", "b after a", "c after b"]);
    world.fail("a");
    world.synthesise();
    let mut log = facts(&world);
    assert_eq!(service_end(&mut log, "c").cause.len(), 2);
    service_end(&mut log, "c").cause.pop();
    let (run, events) = stored(&world, log);
    assert_eq!(codes(&run, &events, world.now()), BTreeSet::from(["I21"]));
}

#[test]
fn a_chain_that_goes_on_behind_a_service_that_ended_by_itself_is_found() {
    let mut world = World::of(&["a", "b after a", "c after b"]);
    world.begin("a");
    world.pass(RUN_MS);
    world.synthesise();
    let mut log = facts(&world);
    let cause = ["b", "a"].map(|name| CauseLink {
        service: name.parse().expect("valid"),
        status: ServiceStatus::Timeout,
        error: String::new(),
    });
    let end = service_end(&mut log, "c");
    (end.status, end.cause) = (ServiceStatus::Skipped, cause.to_vec());
    let (run, events) = stored(&world, log);
    assert_eq!(codes(&run, &events, world.now()), BTreeSet::from(["I21", "I23"]));
}

#[test]
fn a_settlement_that_is_not_true_is_found() {
    check(&[
        ("another status", &["I23"], |log| {
            let place = last_place(log, is_end);
            end_at(log, place).status = RunStatus::Failed;
        }),
        ("another count", &["I23"], |log| {
            let place = last_place(log, is_end);
            end_at(log, place).services_completed = 3;
        }),
        ("another end of a service", &["I23"], |log| {
            let place = last_place(log, is_end);
            end_at(log, place).service_results[1].status = ServiceStatus::Failed;
        }),
        ("a service is not listed", &["I23"], |log| {
            let place = last_place(log, is_end);
            end_at(log, place).service_results.pop();
        }),
    ]);
}

#[test]
fn an_event_of_another_run_website_plan_or_domain_or_one_that_cannot_be_read_is_found() {
    let world = eventful();
    let other = crate::RunId::from_uuid(uuid::Uuid::from_u128(99));
    type Damage<'a> = (&'a str, &'a dyn Fn(&mut [KbaseEvent]));
    let damages: [Damage<'_>; 8] = [
        ("run", &|log| log[3].run_id = other),
        ("identity", &|log| log[3].event_id.seq = 5),
        ("identity of another run", &|log| log[3].event_id.run_id = other),
        ("website", &|log| log[3].website_id = "site_9".parse().expect("valid")),
        ("plan", &|log| change_payload(&mut log[0], "plan_id", "other-v1")),
        ("domain", &|log| change_payload(log.last_mut().expect("an event"), "domain", "example.org")),
        ("unreadable", &|log| log[3].payload = Json::parse("[]").expect("valid")),
        ("foreign service", &|log| log[3].service = "nobody".to_owned()),
    ];
    for (what, damage) in damages {
        let mut log = world.log.clone();
        damage(&mut log);
        assert_eq!(codes(&world.run, &log, world.now()), BTreeSet::from(["I22"]), "{what}");
        assert!(replay(world.run.plan().clone(), &log).is_err(), "{what}: and it is not replayed");
    }
}

fn change_payload(event: &mut KbaseEvent, member: &str, value: &str) {
    let mut payload: serde_json::Value = event.payload.read().expect("JSON");
    payload[member] = value.into();
    event.payload = Json::of(&payload);
}

#[test]
fn a_log_with_a_gap_a_double_or_a_missing_end_is_found() {
    let world = eventful();
    for position in 0..world.log.len() {
        let mut missing = world.log.clone();
        missing.remove(position);
        assert_eq!(codes(&world.run, &missing, world.now()), BTreeSet::from(["I9"]), "without event {}", position + 1);
        let mut doubled = world.log.clone();
        doubled.insert(position, world.log[position].clone());
        assert_eq!(codes(&world.run, &doubled, world.now()), BTreeSet::from(["I9"]), "event {} twice", position + 1);
    }
    assert_eq!(codes(&world.run, &[], world.now()), BTreeSet::from(["I9"]));
    let mut run = world.run.clone();
    run.state.last_seq = 0;
    assert_eq!(codes(&run, &[], world.now()), BTreeSet::from(["I9"]), "a run of which nothing is told");
}

#[test]
fn a_row_that_is_not_the_fold_of_its_log_is_found_with_what_differs() {
    type Damage = fn(&mut RunState);
    let world = eventful();
    let damages: [(&str, Damage); 9] = [
        ("status is \"failed\", by the log \"completed\"", |state| state.status = RunStatus::Failed),
        ("services[1].attempt is 7, by the log 2", |state| state.services[1].attempt = 7),
        ("services[3].status", |state| state.services[3].status = ServiceStatus::Failed),
        ("services[0].result_seq", |state| state.services[0].result_seq = None),
        ("late_results", |state| state.late_results = 0),
        ("revision", |state| state.revision = 1),
        ("domain", |state| state.diagnosis_seq = Some(1)),
        ("deadline_at", |state| state.deadline_at = state.deadline_at.plus_ms(1)),
        ("the log ends with event", |state| state.last_seq += 1),
    ];
    for (what, damage) in damages {
        let mut run = world.run.clone();
        damage(&mut run.state);
        let violations = audit_run(&run, &world.log, world.now());
        let [violation] = violations.as_slice() else { panic!("one violation: {violations:?}") };
        assert_eq!(violation.invariant, Invariant::LogIsTheRun);
        let what = if what == "domain" { "diagnosis_seq" } else { what };
        assert!(violation.detail.contains(what), "{violation}");
    }
}

#[test]
fn an_open_run_that_nobody_wakes_is_found_when_it_is_overdue_and_not_before() {
    let mut world = World::of(&["a"]);
    world.begin("a");
    let due = world.run.state().wake_at.expect("open");
    assert_eq!(codes(&world.run, &world.log, due.plus_ms(AUDIT_SLACK_MS)), BTreeSet::new());
    assert_eq!(codes(&world.run, &world.log, due.plus_ms(AUDIT_SLACK_MS + 1)), BTreeSet::from(["I3"]));
    let mut run = world.run.clone();
    run.state.wake_at = None;
    let expected = BTreeSet::from(["I3", "I9"]);
    assert_eq!(codes(&run, &world.log, world.now()), expected, "it would never be woken");
}

#[test]
fn a_run_that_is_damaged_everywhere_is_reported_in_bounds() {
    let mut world = eventful();
    let late = world.report("b", 1, completed());
    assert_eq!(world.apply(&late), Ok(0), "it is known already");
    let mut log = facts(&world);
    let place = place(&log, |fact| matches!(fact, Fact::LateReported { .. }));
    for _ in 0..1_000 {
        copy(&mut log, place, place + 1);
    }
    let (run, events) = stored(&world, log);
    assert_eq!(audit_run(&run, &events, world.now()).len(), AUDIT_VIOLATIONS_PER_RUN_MAX);
}

#[test]
fn a_diagnosis_after_the_end_needs_a_late_result_that_came_with_it() {
    let amended = || {
        let mut world = World::start(plan_with(LateResults::Amend, vec![service("a")]));
        world.begin("a");
        world.pass(RUN_MS);
        world.synthesise();
        world.apply(&world.report("a", 1, completed())).expect("known");
        world.synthesise();
        world
    };
    let damages: [Damage; 4] = [
        ("it is made twice", &["I8"], |log| copy(log, log.len() - 1, log.len())),
        ("it is made later", &["I8"], |log| log.last_mut().expect("a log").1 = Timestamp::from_millis(i64::MAX / 2)),
        ("the result is a failure", &["I8"], |log| {
            let place = log.len() - 2;
            let Fact::LateReported { result, .. } = &mut log[place].0 else { panic!("not a late result") };
            *result = None;
        }),
        ("the run was cancelled", &["I8", "I23"], |log| {
            let place = place(log, is_end);
            end_at(log, place).status = RunStatus::Cancelled;
        }),
    ];
    for (what, expected, damage) in damages {
        let world = amended();
        let mut log = facts(&world);
        damage(&mut log);
        let events: Vec<_> = log.iter().zip(1..).map(|((fact, at), seq)| world.run.event(seq, fact, *at)).collect();
        let run = replay(world.run.plan().clone(), &events).expect("the log is whole, if not true");
        assert_eq!(codes(&run, &events, world.now()), expected.iter().copied().collect(), "{what}");
    }
}
