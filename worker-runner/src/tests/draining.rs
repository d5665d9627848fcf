//! The way down.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::fake::{GRACE, Running, job, key};
use crate::Registry;
use crate::builtin::noop::Noop;
use crate::runner::{RunnerError, RunnerOptions, RunnerReport};

#[tokio::test(start_paused = true)]
async fn an_idle_worker_stops_at_once() {
    let running = Running::start();
    running.queue.until(|state| (!state.asked.is_empty()).then_some(())).await;
    let asked = Instant::now();
    assert_eq!(running.stop().await, RunnerReport::default());
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_before_it_began_takes_nothing() {
    let running = Running::start();
    running.queue.publish([job(1, json!({}))]);
    let queue = running.queue.clone();
    assert_eq!(running.stop().await, RunnerReport::default());
    queue.with(|state| assert_eq!((state.asked.len(), state.waiting.len()), (0, 1)));
}

#[tokio::test(start_paused = true)]
async fn what_ends_within_the_grace_period_is_reported_and_nothing_new_is_taken() {
    let running = Running::serving(Arc::new(Noop), 1);
    running.queue.publish([job(1, json!({"delay_ms": 5_000})), job(2, json!({}))]);
    running.queue.until(|state| (state.out == 1).then_some(())).await;
    let queue = running.queue.clone();
    let report = running.stop().await;
    assert_eq!(report, RunnerReport { completed: 1, ..RunnerReport::default() });
    queue.with(|state| assert_eq!(state.waiting.len(), 1));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_end_within_the_grace_period_is_handed_back() {
    let running = Running::start();
    running.queue.publish([job(1, json!({"delay_ms": 50_000})), job(2, json!({"delay_ms": 1_000}))]);
    running.queue.until(|state| (state.notices.len() == 2).then_some(())).await;
    let (queue, asked) = (running.queue.clone(), Instant::now());
    let report = running.stop().await;
    assert_eq!(report, RunnerReport { completed: 1, released: 1, ..RunnerReport::default() });
    assert_eq!(asked.elapsed(), GRACE);
    queue.with(|state| assert_eq!((state.released[0].job.id.clone(), state.out), (job(1, json!({})).id, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_stopping_worker_asks_for_nothing_more() {
    let running = Running::start();
    running.queue.publish([job(1, json!({"delay_ms": 5_000}))]);
    running.queue.until(|state| (state.notices.len() == 1 && state.asked.len() == 2).then_some(())).await;
    running.shutdown.cancel();
    tokio::task::yield_now().await;
    running.queue.publish([job(2, json!({})), job(3, json!({}))]);
    let queue = running.queue.clone();
    let report = running.ended().await.expect("in order");
    assert_eq!(report, RunnerReport { completed: 1, ..RunnerReport::default() });
    queue.with(|state| assert_eq!((state.waiting.len(), state.asked.len()), (2, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_even_if_the_queue_never_takes_its_reports() {
    let running = Running::start();
    running.queue.publish([job(1, json!({"delay_ms": 1_000})), job(2, json!({"delay_ms": 50_000}))]);
    running.queue.until(|state| (state.notices.len() == 2).then_some(())).await;
    running.queue.with(|state| state.down = true);
    let asked = Instant::now();
    let report = running.stop().await;
    assert_eq!((report.completed, report.released), (0, 0));
    assert!(asked.elapsed() < GRACE + Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_ends_the_worker_in_order() {
    let running = Running::start();
    running.queue.publish([job(1, json!({}))]);
    running.queue.outcomes(1).await;
    running.queue.with(|state| state.closed = true);
    assert_eq!(running.ended().await.expect("in order").completed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_worker_key_without_a_service_refuses_to_start() {
    let running = Running::with(Registry::default(), RunnerOptions::new(vec![key()]));
    assert!(matches!(running.ended().await, Err(RunnerError::Unservable(refused)) if refused == key()));
    let running = Running::with(Registry::default(), RunnerOptions::new(vec![]));
    assert!(matches!(running.ended().await, Err(RunnerError::NoKeys)));
}
