//! The whole protocol, with all its mechanisms: nothing is ever wrong, and the dangers are reached.

use std::collections::{HashMap, VecDeque};

use stateright::{Checker, Expectation, Model};

use super::core::Says;
use super::scopes::{self, Scope};
use super::state::State;
use super::{Mechanisms, Protocol};

/// Whether the larger scopes are wanted: `MODEL_SCOPE=full`.
fn is_full() -> bool {
    std::env::var("MODEL_SCOPE").is_ok_and(|scope| scope == "full")
}

/// Searches a scope to its end. `at_least` so many states keep the model from becoming empty unnoticed.
fn search(name: &str, scope: Scope, mechanisms: Mechanisms, at_least: usize) {
    let checker = Protocol::new(scope, mechanisms).checker().spawn_bfs().join();
    let (states, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    println!("model {name}: {states} states, {steps} steps, depth {depth}, {} runs", checker.model().core.runs());
    for property in checker.model().properties() {
        let found = checker.discovery(property.name).map(|path| path.into_actions());
        match property.expectation {
            Expectation::Sometimes => assert!(found.is_some(), "{name} never reaches it: {}", property.name),
            Expectation::Always | Expectation::Eventually => {
                assert!(found.is_none(), "{name} breaks the rule: {}: {found:#?}", property.name);
            }
        }
    }
    assert!(states >= at_least, "{name} has {states} states only, {at_least} were expected");
}

/// The short scope always, the long one on demand.
fn search_scope(name: &str, short: Scope, at_least: usize, long: Scope) {
    search(name, if is_full() { long } else { short }, Mechanisms::ALL, at_least);
}

#[test]
fn a_fan_in_settles_once_whatever_breaks() {
    search_scope("fan-in", scopes::fan_in(3), 50_000, scopes::fan_in(5));
}

#[test]
fn a_fan_in_whose_attempts_fail_settles_once_whatever_breaks() {
    // Attempts that fail for good, so that what depends on them is skipped; on demand also those that are repeated.
    let short = Scope { max_attempts: 1, outcomes: &[Says::Completed, Says::Failed], ..scopes::failing_fan_in(2) };
    search_scope("failing fan-in", short, 20_000, scopes::failing_fan_in(1));
}

#[test]
fn retries_settle_once_whatever_breaks() {
    search_scope("retries", scopes::retries(3), 50_000, scopes::retries(5));
}

#[test]
fn a_job_that_ends_its_workers_is_poison_and_no_worse() {
    search_scope("poison", scopes::poison(4), 500, scopes::poison(8));
}

#[test]
fn time_outs_deadlines_and_commands_settle_once_whatever_breaks() {
    let short = Scope { max_attempts: 1, ..scopes::time(2) };
    search_scope("time", short, 50_000, scopes::time(2));
}

#[test]
fn a_rerun_is_not_touched_by_what_was_before() {
    search_scope("rerun", scopes::rerun(3), 50_000, scopes::rerun(4));
    search_scope("amendments", scopes::amendments(2), 5_000, scopes::amendments(3));
}

#[test]
fn the_version_fence_suffices_without_the_row_lock() {
    let (scope, mechanisms) = scopes::without_row_lock(if is_full() { 4 } else { 1 });
    search("no row lock", scope, mechanisms, 5_000);
}

#[test]
fn the_row_lock_suffices_without_the_version_fence() {
    let mechanisms = Mechanisms { version_fence: false, ..Mechanisms::ALL };
    search("no version fence", scopes::fan_in(if is_full() { 4 } else { 2 }), mechanisms, 10_000);
}

/// Together with the rule that an open run always has such a step: whatever has happened so far, without further faults
/// every order of steps ends with a settled run.
#[test]
fn the_steps_that_bring_a_run_forward_form_no_cycle() {
    for scope in [scopes::fan_in(1), scopes::retries(1), scopes::poison(3), scopes::rerun(1)] {
        let model = Protocol::new(scope, Mechanisms::ALL);
        let forward = forward_steps(&model);
        // States are taken away once nothing leads to them any more; what lies on a cycle remains.
        let mut leading = vec![0_usize; forward.len()];
        forward.iter().flatten().for_each(|&to| leading[to] += 1);
        let mut free: Vec<usize> = (0..forward.len()).filter(|&state| leading[state] == 0).collect();
        let mut taken = 0;
        while let Some(state) = free.pop() {
            taken += 1;
            for &to in &forward[state] {
                leading[to] -= 1;
                if leading[to] == 0 {
                    free.push(to);
                }
            }
        }
        assert_eq!(taken, forward.len(), "the other states of {:?} lie on a cycle", scope.services);
    }
}

/// For each state that can be reached at all: where the steps lead that bring the run forward.
#[expect(clippy::mutable_key_type, reason = "a run is compared by its number; what is behind locks is only remembered")]
fn forward_steps(model: &Protocol) -> Vec<Vec<usize>> {
    fn number(state: State, numbers: &mut HashMap<State, usize>, queue: &mut VecDeque<State>) -> usize {
        let next = numbers.len();
        *numbers.entry(state).or_insert_with_key(|state| {
            queue.push_back(state.clone());
            next
        })
    }
    let (mut numbers, mut queue, mut forward) = (HashMap::new(), VecDeque::new(), Vec::new());
    for state in model.init_states() {
        number(state, &mut numbers, &mut queue);
    }
    while let Some(state) = queue.pop_front() {
        let mut leads_to = Vec::new();
        model.steps(&state, &mut |action, brings_forward| {
            let to = number(model.after(&state, action), &mut numbers, &mut queue);
            if brings_forward {
                leads_to.push(to);
            }
        });
        forward.push(leads_to);
    }
    forward
}
