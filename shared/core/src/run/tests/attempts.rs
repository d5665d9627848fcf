//! Retries, back-off, fencing, duplicates.

use super::world::{RUN_MS, TIMEOUT_MS, World, completed, failed, plan_of, service};
use crate::limits::{RETRY_AFTER_MAX_MS, RUN_DURATION_MAX_MS, TIMEOUT_GRACE_MS};
use crate::run::{Event, Jitter, Waiting};
use crate::status::{RunStatus, ServiceStatus};
use crate::wire::{ErrorClass, Outcome};

fn stumble_with(world: &mut World, name: &str, jitter: f64, retry_after_ms: Option<u64>) {
    let outcome = failed(ErrorClass::RateLimited, true, retry_after_ms);
    let Event::Reported { report, .. } = world.report(name, world.state(name).attempt, outcome) else { unreachable!() };
    world.apply(&Event::Reported { report, jitter: Jitter::new(jitter) }).expect("known");
}

#[test]
fn a_retryable_failure_is_tried_again_after_a_back_off() {
    let mut world = World::of(&["a"]);
    stumble_with(&mut world, "a", 0.5, None);
    assert_eq!(world.status("a"), ServiceStatus::Pending);
    let due = world.now().plus_ms(250);
    assert_eq!(world.state("a").retry_at, Some(due));
    assert_eq!(world.run.state().wake_at, Some(due));
    assert!(matches!(world.run.waiting(0), Some(Waiting::Retry { at }) if at == due));
    world.pass(249);
    assert_eq!(world.published(), ["a/1"], "not before its time");
    world.pass(1);
    assert_eq!(world.published(), ["a/1", "a/2"]);
}

#[test]
fn a_back_off_of_nothing_is_tried_again_at_once() {
    let mut world = World::of(&["a"]);
    world.stumble("a");
    assert_eq!(world.published(), ["a/1", "a/2"]);
}

#[test]
fn attempts_end_at_the_plans_maximum_with_the_last_error() {
    let mut world = World::of(&["a"]);
    for _ in 0..3 {
        world.stumble("a");
    }
    assert_eq!(world.published(), ["a/1", "a/2", "a/3"]);
    assert_eq!(world.status("a"), ServiceStatus::Failed);
    assert_eq!(world.state("a").error.as_ref().map(|error| error.class), Some(ErrorClass::ServerError));
}

#[test]
fn a_failure_that_no_retry_can_mend_settles_the_service_at_once() {
    let mut world = World::of(&["a"]);
    world.fail("a");
    assert_eq!(world.status("a"), ServiceStatus::Failed);
    assert_eq!(world.published(), ["a/1"]);
    assert_eq!(world.state("a").duration_ms, Some(7));
}

#[test]
fn retry_after_is_honoured() {
    let mut world = World::of(&["a"]);
    stumble_with(&mut world, "a", 0.0, Some(5_000));
    world.pass(4_999);
    assert_eq!(world.published(), ["a/1"]);
    world.pass(1);
    assert_eq!(world.published(), ["a/1", "a/2"]);
}

#[test]
fn a_retry_that_could_not_end_before_the_deadline_fails_at_once() {
    for retry_after_ms in [RUN_MS, RETRY_AFTER_MAX_MS + 1, u64::MAX] {
        let mut world = World::of(&["a"]);
        stumble_with(&mut world, "a", 0.0, Some(retry_after_ms));
        assert_eq!(world.status("a"), ServiceStatus::Failed, "{retry_after_ms}");
    }
}

#[test]
fn an_attempt_is_trimmed_to_what_the_run_has_left_for_services() {
    let mut world = World::of(&["a", "b after a"]);
    assert_eq!(world.published[0].timeout_ms, TIMEOUT_MS);
    assert_eq!(world.published[0].remaining_ms, RUN_MS - 2_000);
    world.pass_unnoticed(RUN_MS - 2_000 - 3_000);
    world.complete("a");
    assert_eq!(world.published[1].timeout_ms, 3_000);
    assert_eq!(world.published[1].remaining_ms, 3_000);
}

#[test]
fn the_result_of_an_earlier_attempt_does_not_count_for_the_current_one() {
    let mut world = World::of(&["a"]);
    world.stumble("a");
    let stale = world.report("a", 1, completed());
    assert_eq!(world.apply(&stale), Ok(0), "attempt 1 was answered: the report is a duplicate");
    assert_eq!(world.status("a"), ServiceStatus::Queued);
}

#[test]
fn the_failure_of_an_earlier_attempt_does_not_eat_the_current_one() {
    let mut world = World::of(&["a"]);
    world.stumble("a");
    let stale = world.report("a", 1, failed(ErrorClass::ServerError, true, None));
    assert_eq!(world.apply(&stale), Ok(0));
    assert_eq!(world.published(), ["a/1", "a/2"]);
}

#[test]
fn the_same_report_twice_changes_nothing_the_second_time() {
    let mut world = World::of(&["a", "b"]);
    assert_eq!(world.complete("a"), 1);
    assert_eq!(world.complete("a"), 0);
    assert_eq!(world.fail("b"), 1);
    assert_eq!(world.fail("b"), 0);
    assert_eq!(world.complete("b"), 0, "terminal is final");
    assert_eq!(world.run.state().late_results, 0);
}

#[test]
fn the_same_notice_twice_changes_nothing_and_another_workers_notice_does() {
    let mut world = World::of(&["a"]);
    assert_eq!(world.begin("a"), 1);
    assert_eq!(world.begin("a"), 0);
    let Event::Reported { mut report, jitter } = world.report("a", 1, Outcome::Started) else { unreachable!() };
    report.worker = "worker-2".to_owned();
    world.pass_unnoticed(9_000);
    assert_eq!(world.apply(&Event::Reported { report, jitter }), Ok(1));
    assert_eq!(world.state("a").worker.as_deref(), Some("worker-2"));
    assert_eq!(world.state("a").started_at, Some(world.now()), "its time starts anew");
}

#[test]
fn a_worker_that_reports_its_own_time_out_settles_the_service_as_timeout() {
    let mut world = World::of(&["a", "b after a", "c"]);
    world.begin("a");
    let event = world.report("a", 1, failed(ErrorClass::Timeout, true, None));
    world.apply(&event).expect("known");
    assert_eq!(world.status("a"), ServiceStatus::Timeout, "a time-out is not tried again");
    assert_eq!(world.status("b"), ServiceStatus::Skipped);
    world.complete("c");
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.summary().services_timeout, 1);
}

#[test]
fn a_worker_that_reports_nothing_is_given_up_after_its_time_out_and_a_grace() {
    let mut world = World::of(&["a"]);
    world.begin("a");
    assert_eq!(world.run.state().wake_at, Some(world.now().plus_ms(TIMEOUT_MS + TIMEOUT_GRACE_MS)));
    world.pass(TIMEOUT_MS + TIMEOUT_GRACE_MS - 1);
    assert_eq!(world.status("a"), ServiceStatus::Running);
    world.pass(1);
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
    assert_eq!(world.revoked.len(), 1, "its worker is told to stop");
    assert_eq!(world.state("a").duration_ms, Some(TIMEOUT_MS + TIMEOUT_GRACE_MS));
}

#[test]
fn time_in_the_queue_does_not_count_as_execution() {
    let mut world = World::of(&["a"]);
    world.pass(TIMEOUT_MS * 3);
    assert_eq!(world.status("a"), ServiceStatus::Queued);
}

#[test]
fn a_deferred_attempt_is_running_and_its_job_is_not_expected_in_the_queue() {
    let mut world = World::of(&["a", "b"]);
    let event = world.report("a", 1, Outcome::Deferred);
    assert_eq!(world.apply(&event), Ok(1));
    assert_eq!(world.apply(&event), Ok(0));
    assert_eq!(world.status("a"), ServiceStatus::Running);
    let open: Vec<_> = world.run.open_jobs(world.now()).iter().map(|order| order.id.service.to_string()).collect();
    assert_eq!(open, ["b"]);
    assert!(matches!(world.run.waiting(0), Some(Waiting::Result { by_callback: true, .. })));
    world.complete("a");
    assert_eq!(world.status("a"), ServiceStatus::Completed);
}

#[test]
fn a_deferred_attempt_that_is_never_delivered_times_out() {
    let mut world = World::of(&["a"]);
    let event = world.report("a", 1, Outcome::Deferred);
    world.apply(&event).expect("known");
    world.pass(TIMEOUT_MS + TIMEOUT_GRACE_MS);
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
}

#[test]
fn open_jobs_are_those_in_the_queue_or_with_a_worker() {
    let mut world = World::of(&["a", "b", "c", "d after a"]);
    world.begin("b");
    world.fail("c");
    let open: Vec<_> = world.run.open_jobs(world.now()).iter().map(|order| order.id.service.to_string()).collect();
    assert_eq!(open, ["a", "b"]);
    world.complete("a");
    world.complete("b");
    world.complete("d");
    world.synthesise();
    assert!(world.run.open_jobs(world.now()).is_empty());
}

#[test]
fn one_attempt_means_one_attempt() {
    let mut once = service("a");
    once.max_attempts = 1;
    let mut world = World::start(plan_of(vec![once]));
    world.stumble("a");
    assert_eq!(world.status("a"), ServiceStatus::Failed);
}

#[test]
fn a_duration_that_no_run_can_have_is_cut_to_the_longest_one() {
    let mut world = World::of(&["a", "b"]);
    let absurd = |outcome: Outcome| match outcome {
        Outcome::Completed { result, .. } => Outcome::Completed { duration_ms: u64::MAX, result },
        Outcome::Failed { error, retryable, retry_after_ms, .. } => {
            Outcome::Failed { duration_ms: u64::MAX, error, retryable, retry_after_ms }
        }
        other => other,
    };
    for (name, outcome) in [("a", completed()), ("b", failed(ErrorClass::Authentication, false, None))] {
        let event = world.report(name, 1, absurd(outcome));
        world.apply(&event).expect("known");
        assert_eq!(world.state(name).duration_ms, Some(RUN_DURATION_MAX_MS));
    }
}
