//! What is reported for what happens to an attempt.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::limits::{ATTEMPT_MIN_MS, RESULT_BYTES_MAX, STARTED_NOTICE_AFTER_MS};
use hermes_core::wire::{ErrorClass, Job, Outcome, ServiceError, WIRE_VERSION};
use serde_json::json;

use super::fake::{Running, job};
use crate::{AttemptContext, Service, ServiceOutcome};

fn error(outcome: Outcome) -> ServiceError {
    match outcome {
        Outcome::Failed { error, .. } => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_completed_attempt_is_reported_with_its_result_and_duration() {
    let running = Running::start();
    let queue = running.queue.clone();
    let (outcome, _) = running.execute(job(1, json!({"result": {"score": 7}, "delay_ms": 30})), 0).await;
    let Outcome::Completed { duration_ms, result } = outcome else { panic!("{outcome:?}") };
    assert_eq!((duration_ms, result.get()), (30, r#"{"score":7}"#));
    queue.with(|state| {
        let (receipt, report) = &state.reports[0];
        assert_eq!((report.v, &report.job, report.worker.as_str()), (WIRE_VERSION, &receipt.job, "worker-1"));
    });
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_reported_with_what_the_service_said() {
    let (outcome, _) = Running::start().execute(job(1, json!({"fail": "no such site", "retryable": true})), 0).await;
    assert_eq!(
        outcome,
        Outcome::Failed {
            duration_ms: 0,
            error: ServiceError::new(ErrorClass::WorkerError, "no such site"),
            retryable: true,
            retry_after_ms: None
        }
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_attempt_and_nothing_else() {
    let running = Running::start();
    running.queue.publish([job(1, json!({"panic": "out of cheese", "delay_ms": 5})), job(2, json!({"delay_ms": 10}))]);
    let outcomes = running.queue.outcomes(2).await;
    assert_eq!(
        outcomes[0],
        Outcome::Failed {
            duration_ms: 5,
            error: ServiceError::new(ErrorClass::Panic, "The service panicked: out of cheese"),
            retryable: true,
            retry_after_ms: None
        }
    );
    assert!(matches!(outcomes[1], Outcome::Completed { .. }));
    running.queue.publish([job(3, json!({}))]);
    assert!(matches!(running.queue.outcomes(3).await[2], Outcome::Completed { .. }));
    let report = running.stop().await;
    assert_eq!((report.completed, report.failed), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_exceeds_its_own_time_is_a_timeout() {
    let slow = Job { timeout_ms: 2_000, ..job(1, json!({"delay_ms": 60_000})) };
    let (outcome, took) = Running::start().execute(slow, 0).await;
    assert_eq!(took, 2_000);
    let error = error(outcome);
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Timeout, "The service did not finish within 2000 ms")
    );
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_exceeds_the_time_of_its_run_has_passed_the_deadline() {
    let slow = Job { timeout_ms: 60_000, remaining_ms: 5_000, ..job(1, json!({"delay_ms": 60_000})) };
    let (outcome, took) = Running::start().execute(slow, 4_000).await;
    assert_eq!(took, 1_000, "the time spent in the queue counts");
    let error = error(outcome);
    assert_eq!((error.class, error.message.as_str()), (ErrorClass::DeadlinePassed, "The run's deadline passed"));
}

/// A service that keeps an eye on the clock itself.
struct Punctual;

#[async_trait]
impl Service for Punctual {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        tokio::time::sleep_until(attempt.deadline).await;
        ServiceOutcome::failed(ErrorClass::Timeout, "no answer from worker.example")
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_notices_the_end_of_its_time_need_not_know_which_limit_it_was() {
    for (remaining_ms, class) in [(5_000, ErrorClass::DeadlinePassed), (50_000, ErrorClass::Timeout)] {
        let late = Job { timeout_ms: 10_000, remaining_ms, ..job(1, json!({})) };
        let error = error(Running::serving(Arc::new(Punctual), 1).execute(late, 0).await.0);
        assert_eq!((error.class, error.message.as_str()), (class, "no answer from worker.example"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_with_hardly_any_time_left_is_not_begun() {
    let late = Job { remaining_ms: 5_000, ..job(1, json!({"panic": "must not run"})) };
    for waited_ms in [5_000 - ATTEMPT_MIN_MS + 1, 5_000, 9_000] {
        let (outcome, took) = Running::start().execute(late.clone(), waited_ms).await;
        assert_eq!(took, 0);
        assert_eq!(error(outcome).class, ErrorClass::DeadlinePassed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_that_is_too_large_is_a_failure() {
    let large = job(1, json!({"result": "x".repeat(RESULT_BYTES_MAX)}));
    let error = error(Running::start().execute(large, 0).await.0);
    assert_eq!(error.class, ErrorClass::ResultTooLarge);
    let just_fits = job(1, json!({"result": "x".repeat(RESULT_BYTES_MAX - 2)}));
    assert!(matches!(Running::start().execute(just_fits, 0).await.0, Outcome::Completed { .. }));
}

#[tokio::test(start_paused = true)]
async fn only_an_attempt_that_is_not_over_at_once_sends_a_started_notice() {
    let running = Running::start();
    running.queue.publish([
        job(1, json!({"delay_ms": STARTED_NOTICE_AFTER_MS - 1})),
        job(2, json!({"delay_ms": STARTED_NOTICE_AFTER_MS + 1})),
    ]);
    running.queue.outcomes(2).await;
    running.queue.with(|state| {
        assert_eq!(state.notices.len(), 1);
        assert_eq!(state.notices[0].job, job(2, json!({})).id);
        assert_eq!(state.notices[0].outcome, Outcome::Started);
    });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_later_format_or_another_worker_is_refused_but_may_be_tried_elsewhere() {
    let newer = Job { v: WIRE_VERSION + 1, ..job(1, json!({"panic": "must not run"})) };
    let astray = Job { worker_key: "other".parse().expect("valid"), ..job(1, json!({"panic": "must not run"})) };
    for (refused, text) in [(newer, "upgrade the worker-runners"), (astray, "worker other")] {
        let (outcome, _) = Running::start().execute(refused, 0).await;
        let Outcome::Failed { error, retryable: true, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.class, ErrorClass::InvalidInput);
        assert!(error.message.contains(text), "{}", error.message);
    }
}
