//! Every limit of time and number: just before it, at it, just after it.

use super::world::{RUN_MS, TIMEOUT_MS, World, failed, plan_of, service};
use crate::limits::{ATTEMPT_MIN_MS, ATTEMPTS_MAX, BACKOFF_BASE_MS, RETRY_AFTER_MAX_MS, TIMEOUT_GRACE_MS};
use crate::plan::{LateResults, Plan, PlanSpec};
use crate::run::{Event, Jitter, Run, Waiting};
use crate::status::{RunStatus, ServiceStatus};
use crate::wire::{ErrorClass, Outcome};

const SERVICES_MS: u64 = RUN_MS - 2_000;
const PATIENCE_MS: u64 = TIMEOUT_MS + TIMEOUT_GRACE_MS;

fn wait(world: &mut World, name: &str, retry_after_ms: u64) {
    let outcome = failed(ErrorClass::RateLimited, true, Some(retry_after_ms));
    let event = world.report(name, world.state(name).attempt, outcome);
    world.apply(&event).expect("known");
}

fn wake_in(world: &World) -> Option<u64> {
    world.run.state().wake_at.map(|at| at.since_ms(world.now()))
}

/// A run of `duration_ms` with one service.
fn run_of(duration_ms: u64, timeout_ms: u64) -> World {
    let mut only = service("a");
    only.timeout_ms = timeout_ms;
    let spec = PlanSpec {
        plan_id: "test-v1".to_owned(),
        name: "Test".to_owned(),
        description: String::new(),
        max_duration_ms: duration_ms,
        late_results: LateResults::Keep,
        services: vec![only],
    };
    World::start(std::sync::Arc::new(Plan::try_from(spec).expect("valid")))
}

#[test]
fn services_end_at_the_beginning_of_the_reserve_and_not_a_millisecond_sooner() {
    for (millis, expected) in [
        (SERVICES_MS - 1, ServiceStatus::Queued),
        (SERVICES_MS, ServiceStatus::Timeout),
        (SERVICES_MS + 1, ServiceStatus::Timeout),
    ] {
        let mut world = World::of(&["a"]);
        world.pass(millis);
        assert_eq!(world.status("a"), expected, "after {millis} ms");
        assert_eq!(world.synthesis_wanted, expected == ServiceStatus::Timeout, "after {millis} ms");
    }
}

#[test]
fn the_reserve_is_a_tenth_of_a_short_run_and_two_seconds_of_a_long_one() {
    for (duration_ms, services_ms) in [
        (1_000, 900),
        (19_999, 18_000),
        (20_000, 18_000),
        (20_001, 18_001),
        (300_000, 298_000),
        (86_400_000, 86_398_000),
    ] {
        let world = run_of(duration_ms, 100);
        assert_eq!(world.run.services_until().since_ms(world.now()), services_ms, "of {duration_ms} ms");
        assert_eq!(world.published[0].remaining_ms, services_ms, "of {duration_ms} ms");
        assert_eq!(wake_in(&world), Some(services_ms), "of {duration_ms} ms");
    }
}

#[test]
fn a_retry_is_published_at_its_time_and_not_a_millisecond_sooner() {
    for (millis, attempt) in [(4_999, 1), (5_000, 2), (5_001, 2)] {
        let mut world = World::of(&["a"]);
        wait(&mut world, "a", 5_000);
        world.pass(millis);
        assert_eq!(world.state("a").attempt, attempt, "after {millis} ms");
    }
}

#[test]
fn a_silent_worker_is_given_up_at_its_time_out_and_grace_and_not_a_millisecond_sooner() {
    for (millis, expected) in [
        (TIMEOUT_MS, ServiceStatus::Running),
        (PATIENCE_MS - 1, ServiceStatus::Running),
        (PATIENCE_MS, ServiceStatus::Timeout),
        (PATIENCE_MS + 1, ServiceStatus::Timeout),
    ] {
        let mut world = World::of(&["a", "z"]);
        world.begin("a");
        world.pass(millis);
        assert_eq!(world.status("a"), expected, "after {millis} ms");
    }
}

#[test]
fn a_retry_is_made_if_it_leaves_the_shortest_attempt_and_not_if_it_leaves_a_millisecond_less() {
    let last_ms = SERVICES_MS - ATTEMPT_MIN_MS;
    for (retry_after_ms, expected) in [
        (last_ms - 1, ServiceStatus::Pending),
        (last_ms, ServiceStatus::Pending),
        (last_ms + 1, ServiceStatus::Failed),
        (SERVICES_MS, ServiceStatus::Failed),
    ] {
        let mut world = World::of(&["a"]);
        wait(&mut world, "a", retry_after_ms);
        assert_eq!(world.status("a"), expected, "Retry-After of {retry_after_ms} ms");
    }
}

#[test]
fn the_last_possible_retry_gets_the_shortest_attempt() {
    let mut world = World::of(&["a"]);
    let last_ms = SERVICES_MS - ATTEMPT_MIN_MS;
    wait(&mut world, "a", last_ms);
    world.pass(last_ms);
    assert_eq!(world.published(), ["a/1", "a/2"]);
    assert_eq!((world.published[1].timeout_ms, world.published[1].remaining_ms), (ATTEMPT_MIN_MS, ATTEMPT_MIN_MS));
    assert_eq!(world.state("a").attempt_timeout_ms, ATTEMPT_MIN_MS);
}

#[test]
fn the_longest_retry_after_is_honoured_and_a_longer_one_fails_however_long_the_run_is() {
    for (retry_after_ms, expected) in [
        (RETRY_AFTER_MAX_MS, ServiceStatus::Pending),
        (RETRY_AFTER_MAX_MS + 1, ServiceStatus::Failed),
        (u64::MAX, ServiceStatus::Failed),
    ] {
        let mut world = run_of(86_400_000, 1_000);
        wait(&mut world, "a", retry_after_ms);
        assert_eq!(world.status("a"), expected, "Retry-After of {retry_after_ms} ms");
    }
}

#[test]
fn a_service_gets_exactly_as_many_attempts_as_its_plan_says() {
    for max_attempts in 1..=ATTEMPTS_MAX {
        let mut stubborn = service("a");
        stubborn.max_attempts = max_attempts;
        let mut world = World::start(plan_of(vec![stubborn]));
        for attempt in 1..max_attempts {
            world.stumble("a");
            assert_eq!((world.status("a"), world.state("a").attempt), (ServiceStatus::Queued, attempt + 1));
        }
        world.stumble("a");
        assert_eq!((world.status("a"), world.state("a").attempt), (ServiceStatus::Failed, max_attempts));
        assert_eq!(world.published.len(), max_attempts as usize);
    }
}

#[test]
fn the_back_off_counts_the_failures_of_this_revision_only() {
    let mut world = World::of(&["a"]);
    for _ in 0..3 {
        world.stumble("a");
    }
    world.synthesise();
    world.apply(&Event::RerunRequested).expect("settled");
    let outcome = failed(ErrorClass::ServerError, true, None);
    let Event::Reported { report, .. } = world.report("a", 4, outcome) else { unreachable!() };
    world.apply(&Event::Reported { report, jitter: Jitter::new(0.5) }).expect("known");
    assert_eq!(wake_in(&world), Some(BACKOFF_BASE_MS / 2), "the first failure of the second revision");
}

#[test]
fn an_open_order_shows_what_is_left_at_the_time_of_asking_and_keeps_its_own_time_out() {
    let mut world = World::of(&["a"]);
    for (millis, remaining_ms) in [(0, SERVICES_MS), (1, SERVICES_MS - 1), (SERVICES_MS - 2, 1), (1, 0), (9_999, 0)] {
        world.pass_unnoticed(millis);
        let orders = world.run.open_jobs(world.now());
        let shown: Vec<_> = orders.iter().map(|order| (order.remaining_ms, order.timeout_ms)).collect();
        assert_eq!(shown, [(remaining_ms, TIMEOUT_MS)]);
    }
}

#[test]
fn an_attempt_is_trimmed_from_the_moment_at_which_less_than_its_time_out_is_left() {
    for (left_ms, timeout_ms) in
        [(TIMEOUT_MS + 1, TIMEOUT_MS), (TIMEOUT_MS, TIMEOUT_MS), (TIMEOUT_MS - 1, TIMEOUT_MS - 1), (1, 1)]
    {
        let mut world = World::of(&["a", "b after a"]);
        world.pass_unnoticed(SERVICES_MS - left_ms);
        world.complete("a");
        assert_eq!(world.published[1].timeout_ms, timeout_ms, "{left_ms} ms are left");
        assert_eq!(world.published[1].remaining_ms, left_ms);
        let payload: serde_json::Value = world.log.last().expect("a wave").payload.read().expect("JSON");
        assert_eq!(payload["services"][0]["timeout_ms"], timeout_ms, "the log says the same");
    }
}

#[test]
fn a_trimmed_attempt_is_given_up_by_its_trimmed_time_out() {
    let mut world = run_of(86_400_000, 1_000);
    world.begin("a");
    assert_eq!(wake_in(&world), Some(1_000 + TIMEOUT_GRACE_MS));
    let mut world = World::of(&["a", "b after a", "c"]);
    world.pass_unnoticed(SERVICES_MS - 5_000);
    world.complete("a");
    world.begin("b");
    assert_eq!(wake_in(&world), Some(5_000), "the run's end comes before the time-out and its grace");
}

#[test]
fn the_run_wants_to_be_woken_at_the_earliest_thing_that_is_due() {
    let mut world = World::of(&["a", "b", "c"]);
    assert_eq!(wake_in(&world), Some(SERVICES_MS), "in the queue: nothing but the run's end is due");
    world.begin("a");
    assert_eq!(wake_in(&world), Some(PATIENCE_MS), "running: its time-out");
    wait(&mut world, "b", 5_000);
    assert_eq!(wake_in(&world), Some(5_000), "a retry that comes sooner");
    wait(&mut world, "c", 5_001);
    assert_eq!(wake_in(&world), Some(5_000), "a retry that comes later does not put it off");
    world.pass(5_000);
    assert_eq!(wake_in(&world), Some(1), "the next retry");
    world.pass(1);
    assert_eq!(wake_in(&world), Some(PATIENCE_MS - 5_001), "the time-out again");
    world.complete("a");
    assert_eq!(wake_in(&world), Some(SERVICES_MS - 5_001), "the run's end again");
    world.complete("b");
    world.complete("c");
    assert_eq!(wake_in(&world), Some(0), "synthesis is due at once");
    world.synthesise();
    assert_eq!(wake_in(&world), None, "settled");
}

#[test]
fn a_deferred_attempt_counts_its_time_from_the_start_if_one_was_reported_and_else_from_the_deferral() {
    let mut world = World::of(&["a", "b"]);
    world.begin("a");
    world.pass_unnoticed(1_000);
    for name in ["a", "b"] {
        let event = world.report(name, 1, Outcome::Deferred);
        world.apply(&event).expect("known");
    }
    world.pass(PATIENCE_MS - 1_000);
    assert_eq!(world.status("a"), ServiceStatus::Timeout);
    assert_eq!(world.status("b"), ServiceStatus::Running);
    world.pass(1_000);
    assert_eq!(world.status("b"), ServiceStatus::Timeout);
}

#[test]
fn a_deferral_ends_with_its_attempt() {
    let mut world = World::of(&["a"]);
    let event = world.report("a", 1, Outcome::Deferred);
    world.apply(&event).expect("known");
    world.stumble("a");
    assert!(!world.state("a").deferred, "the second attempt is in the queue");
    assert_eq!(world.run.open_jobs(world.now()).len(), 1);
    assert!(matches!(world.run.waiting(0), Some(Waiting::Worker { since, .. }) if since == Some(world.now())));
}

#[test]
fn a_new_attempt_forgets_the_worker_and_the_start_of_the_last_one() {
    let mut world = World::of(&["a"]);
    world.begin("a");
    assert!(world.state("a").worker.is_some() && world.state("a").started_at.is_some());
    world.pass_unnoticed(300);
    world.stumble("a");
    let state = world.state("a");
    assert_eq!((&state.worker, state.started_at), (&None, None));
    assert_eq!(state.queued_at, Some(world.now()));
    world.begin("a");
    assert_eq!(world.state("a").worker.as_deref(), Some("worker-1"), "the same worker may be told again");
}

#[test]
fn a_result_shows_the_workers_duration_and_a_start_where_none_was_reported() {
    let mut world = World::of(&["a", "b"]);
    world.pass_unnoticed(100);
    world.begin("b");
    world.pass_unnoticed(20);
    world.complete("a");
    world.complete("b");
    assert_eq!(world.state("a").started_at, Some(world.now().minus_ms(5)), "it ended now and took 5 ms");
    assert_eq!(world.state("b").started_at, Some(world.now().minus_ms(20)), "what was reported is kept");
    assert_eq!((world.state("a").duration_ms, world.state("b").duration_ms), (Some(5), Some(5)));
    assert_eq!(world.state("a").error, None);
}

#[test]
fn a_success_after_a_failure_leaves_no_error_and_no_retry() {
    let mut world = World::of(&["a"]);
    world.stumble("a");
    assert!(world.state("a").error.is_some(), "the last failure is shown while the next attempt runs");
    world.complete("a");
    assert_eq!((&world.state("a").error, world.state("a").retry_at), (&None, None));
    world.synthesise();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_service_that_never_ran_has_no_duration_and_one_that_was_stopped_has_the_time_until_then() {
    let mut world = World::of(&["ran", "queued", "waiting after ran"]);
    world.begin("ran");
    world.pass_unnoticed(1_234);
    world.apply(&Event::CancelRequested).expect("open");
    let duration = |name: &str| world.state(name).duration_ms;
    assert_eq!((duration("ran"), duration("queued"), duration("waiting")), (Some(1_234), None, None));
    let open = |name: &str| world.state(name).unanswered.clone();
    assert_eq!((open("ran"), open("queued"), open("waiting")), (vec![1], vec![1], vec![]));
}

#[test]
fn the_time_of_an_attempt_that_already_failed_is_not_the_duration_of_its_cancelled_retry() {
    let mut world = World::of(&["a"]);
    world.begin("a");
    wait(&mut world, "a", 5_000);
    world.pass_unnoticed(1_000);
    world.apply(&Event::CancelRequested).expect("open");
    assert_eq!(world.state("a").duration_ms, None);
    assert!(world.state("a").unanswered.is_empty(), "attempt 1 was answered");
    assert!(world.revoked.is_empty(), "there was nothing to take back");
}

#[test]
fn a_clock_that_stands_before_the_start_of_the_run_ends_nothing() {
    let world = World::of(&["a"]);
    let before = world.now().minus_ms(3_600_000);
    let decision = crate::run::decide(&world.run, &Event::Woken, before).expect("every run may be woken");
    assert!(decision.effects.is_empty());
    assert_eq!(decision.next, world.run);
    let orders = Run::open_jobs(&world.run, before);
    assert_eq!(orders[0].timeout_ms, TIMEOUT_MS);
}
