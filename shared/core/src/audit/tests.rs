//! What the auditor says, word by word; what it finds is tested with the runs.

use serde_json::json;

use super::{Invariant, Tally, Violation, collect_differences};
use crate::ids::RunId;

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
