//! What the auditor says, word by word; what it finds is tested with the runs.

use std::sync::Arc;

use serde_json::json;

use super::{Invariant, RunAudit, Tally, Violation, collect_differences};
use crate::ids::RunId;
use crate::plan::Plan;
use crate::run::{Effect, NewRun, Run, RunState};
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;

#[test]
fn a_violation_names_invariant_run_and_finding() {
    let run_id = Some(RunId::from_uuid(uuid::Uuid::from_u128(9)));
    let violation = Violation { run_id, invariant: Invariant::SettlesOnce, detail: "twice".to_owned() };
    assert_eq!(violation.to_string(), "I4 run 00000000000000000000000000000009: twice");
    let of_no_run = Violation { run_id: None, ..violation };
    assert_eq!(of_no_run.to_string(), "I4: twice");
    assert_eq!(format!("[{:>4}]", Invariant::SettlesOnce), "[  I4]");
}

#[test]
fn lists_of_different_length_differ_as_a_whole_and_others_member_by_member() {
    let differences = |row: serde_json::Value, log: serde_json::Value| {
        let mut differing = Vec::new();
        collect_differences("", &row, &log, &mut differing);
        differing
    };
    assert_eq!(differences(json!({"a": [1, 2]}), json!({"a": [1]})), ["a is [1,2], by the log [1]"]);
    assert_eq!(differences(json!({"a": [1, 2]}), json!({"a": [1, 3]})), ["a[1] is 2, by the log 3"]);
    assert_eq!(differences(json!({"a": 1}), json!({"b": 2})), ["a is 1, by the log null", "b is null, by the log 2"]);
}

#[test]
fn tallies_add_up_member_by_member() {
    let of = |factor: u64| Tally {
        stores: factor,
        runs: 2 * factor,
        events: 3 * factor,
        services: 4 * factor,
        settlements: 5 * factor,
        reruns: 6 * factor,
        attempts: 7 * factor,
        executions: 8 * factor,
        starts: 9 * factor,
        late_results: 10 * factor,
        skips: 11 * factor,
        diagnoses: 12 * factor,
        notes: 13 * factor,
    };
    let mut sum = of(1);
    sum.add(&of(10));
    assert_eq!(sum, of(11));
}

#[test]
fn the_walk_sees_what_differs_in_a_row_without_the_help_of_the_replay() {
    let now = Timestamp::from_millis(1_800_000_000_000);
    let plan =
        "{plan_id: p-v1, name: P, max_duration_ms: 3000, services: [{service: a, worker_key: a, timeout_ms: 900}]}";
    let new = NewRun {
        run_id: RunId::from_uuid(uuid::Uuid::from_u128(9)),
        website_id: "site".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        plan: Arc::new(Plan::from_yaml(plan).expect("valid")),
    };
    let started = Run::start(new, now);
    let run = started.next;
    let mut audit = RunAudit::new(&run, now, 0);
    for effect in &started.effects {
        if let Effect::Record { event, .. } = effect {
            audit.take(event);
        }
    }
    let difference = |change: fn(&mut RunState)| {
        let mut state = run.state().clone();
        change(&mut state);
        audit.walk.difference(&state)
    };
    assert_eq!(difference(|_| ()), None);
    assert_eq!(difference(|state| state.services[0].status = ServiceStatus::Running), None, "queued, and begun");
    let of_the_run: [fn(&mut RunState); 3] =
        [|state| state.revision = 2, |state| state.late_results = 1, |state| state.status = RunStatus::Completed];
    for change in of_the_run {
        assert!(difference(change).is_some_and(|text| text.starts_with("revision, late results or settlement")));
    }
    let of_a_service: [fn(&mut RunState); 4] = [
        |state| state.services[0].status = ServiceStatus::Pending,
        |state| state.services[0].attempt = 2,
        |state| state.services[0].attempts_before = 1,
        |state| state.services[0].unanswered.push(1),
    ];
    for change in of_a_service {
        assert_eq!(difference(change).as_deref(), Some("service 'a' of the row differs from its log"));
    }
}
