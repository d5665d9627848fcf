//! Variants of the protocol without one mechanism. Each must be found wrong, and for the right reason: a model that
//! cannot tell them from the whole protocol would prove nothing about it.

use stateright::{Checker, HasDiscoveries, Model};

use super::properties;
use super::scopes::{self, Scope};
use super::{Mechanisms, Protocol};

/// More than any counterexample needs.
const STEPS_MAX: usize = 40;

/// Searches deeper and deeper until `rule` is broken, so that the counterexample is a shortest one.
fn is_found_wrong(name: &str, scope: Scope, mechanisms: Mechanisms, rule: &'static str) {
    // No danger is asked for: only the rule may end the search.
    let scope = Scope { dangers: &[], ..scope };
    for depth in 2..STEPS_MAX {
        let wanted = HasDiscoveries::AnyOf([rule].into());
        let model = Protocol::new(scope, mechanisms);
        let checker = model.checker().finish_when(wanted).target_max_depth(depth).spawn_bfs().join();
        if let Some(path) = checker.discovery(rule) {
            let path: Vec<_> = path.into_actions();
            println!("without {name}, it is not true that {rule}: {} steps: {path:?}", path.len());
            return;
        }
    }
    panic!("the protocol without {name} keeps the rule: {rule}");
}

#[test]
fn without_a_fence_the_timers_end_what_they_read_earlier() {
    let mechanisms = Mechanisms { fenced_timers: false, ..Mechanisms::ALL };
    is_found_wrong("fenced timers", scopes::time(2), mechanisms, properties::TERMINAL);
    is_found_wrong("fenced timers", scopes::time(2), mechanisms, properties::RUN_SETTLES_ONCE);
}

#[test]
fn without_the_reconciler_a_lost_publication_is_lost_for_ever() {
    let mechanisms = Mechanisms { reconciler: false, ..Mechanisms::ALL };
    is_found_wrong("the reconciler", scopes::fan_in(1), mechanisms, properties::NOT_STUCK);
}

#[test]
fn without_row_lock_and_version_fence_an_update_is_lost() {
    let mechanisms = Mechanisms { row_lock: false, version_fence: false, ..Mechanisms::ALL };
    is_found_wrong("lock and fence", scopes::fan_in(0), mechanisms, properties::TERMINAL);
    is_found_wrong("lock and fence", scopes::fan_in(0), mechanisms, properties::LOG);
    is_found_wrong("lock and fence", scopes::fan_in(0), mechanisms, properties::SETTLES_ONCE);
}

#[test]
fn without_lock_fence_and_timers_everything_is_wrong() {
    let mechanisms = Mechanisms { row_lock: false, version_fence: false, timers: false, ..Mechanisms::ALL };
    is_found_wrong("lock, fence and timers", scopes::retries(1), mechanisms, properties::LOG);
    is_found_wrong("lock, fence and timers", scopes::retries(0), mechanisms, properties::NOT_STUCK);
}

#[test]
fn without_timers_a_retry_never_starts() {
    let mechanisms = Mechanisms { timers: false, ..Mechanisms::ALL };
    is_found_wrong("the timers", scopes::retries(0), mechanisms, properties::NOT_STUCK);
}

#[test]
fn without_ends_of_leases_a_killed_worker_keeps_its_job() {
    let mechanisms = Mechanisms { leases_end: false, ..Mechanisms::ALL };
    is_found_wrong("ends of leases", scopes::fan_in(1), mechanisms, properties::NOT_STUCK);
}

#[test]
fn without_comparing_attempts_a_stale_failure_eats_a_retry() {
    let mechanisms = Mechanisms { compares_attempts: false, ..Mechanisms::ALL };
    is_found_wrong("comparing attempts", scopes::retries(1), mechanisms, properties::OWN_ATTEMPT);
}

#[test]
fn a_publication_before_its_commit_starts_what_may_not_start() {
    let mechanisms = Mechanisms { commits_before_publishing: false, ..Mechanisms::ALL };
    is_found_wrong("commit before publication", scopes::fan_in(1), mechanisms, properties::DEPENDENCIES);
}

#[test]
fn an_acknowledgement_before_its_commit_loses_an_answer() {
    let mechanisms = Mechanisms { commits_before_acknowledging: false, ..Mechanisms::ALL };
    is_found_wrong("commit before acknowledgement", scopes::fan_in(1), mechanisms, properties::KEPT);
}

#[test]
fn a_job_that_leaves_before_its_report_is_sent_loses_an_answer() {
    let mechanisms = Mechanisms { reports_atomically: false, ..Mechanisms::ALL };
    is_found_wrong("atomic reports", scopes::fan_in(1), mechanisms, properties::KEPT);
}

#[test]
fn deaths_that_nobody_counts_go_on_for_ever() {
    let mechanisms = Mechanisms { counts_deaths: false, ..Mechanisms::ALL };
    is_found_wrong("counted deaths", scopes::poison(3), mechanisms, properties::DELIVERIES);
}
