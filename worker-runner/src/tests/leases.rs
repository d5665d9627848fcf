//! Leases, and a queue that is away or forgets.

use hermes_core::limits::{HEARTBEAT_MS, OUTAGE_PAUSE_MAX_MS};
use hermes_core::ports::queue::Lease;
use hermes_core::wire::Outcome;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use super::fake::{LONG_MS, Running, job, key};
use crate::builtin::noop::Noop;
use crate::{Registry, RunnerOptions};

#[tokio::test(start_paused = true)]
async fn everything_held_is_renewed_by_one_call_per_heartbeat() {
    let running = Running::start();
    running.queue.publish([job(1, json!({"delay_ms": LONG_MS})), job(2, json!({"delay_ms": LONG_MS}))]);
    running.queue.outcomes(2).await;
    running.queue.with(|state| {
        assert_eq!(state.renewals.len() as u64, (LONG_MS - 1) / HEARTBEAT_MS);
        assert!(state.renewals.iter().all(|receipts| receipts.len() == 2));
    });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_configured_heartbeat_is_kept() {
    let heartbeat = Duration::from_millis(HEARTBEAT_MS / 4);
    let options = RunnerOptions { heartbeat, ..RunnerOptions::new(vec![key()]) };
    let running = Running::with(Registry::default().with(key(), Arc::new(Noop)), options);
    running.queue.publish([job(1, json!({"delay_ms": LONG_MS}))]);
    running.queue.outcomes(1).await;
    running.queue.with(|state| {
        assert_eq!(state.renewals.len() as u64, (LONG_MS - 1) / (HEARTBEAT_MS / 4));
    });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_revoked_attempt_stops_and_reports_nothing() {
    let running = Running::start();
    let revoked = job(1, json!({"delay_ms": LONG_MS}));
    running.queue.with(|state| state.leases.insert(revoked.id.clone(), Lease::Revoked));
    running.queue.publish([revoked, job(2, json!({"delay_ms": LONG_MS}))]);
    running.queue.outcomes(1).await;
    running.queue.with(|state| {
        assert_eq!(state.reports[0].0.job, job(2, json!({})).id);
        assert!(state.renewals[1..].iter().all(|receipts| receipts.len() == 1));
    });
    let report = running.stop().await;
    assert_eq!((report.revoked, report.completed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_lease_is_lost_still_reports() {
    let running = Running::start();
    let lost = job(1, json!({"delay_ms": LONG_MS}));
    running.queue.with(|state| state.leases.insert(lost.id.clone(), Lease::Lost));
    running.queue.publish([lost]);
    assert!(matches!(running.queue.outcomes(1).await[0], Outcome::Completed { .. }));
    running.queue.with(|state| assert_eq!(state.renewals.len(), 1, "a lost lease is not renewed"));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_delivered_again_to_its_own_worker_is_not_executed_twice() {
    let running = Running::start();
    let twice = job(1, json!({"delay_ms": LONG_MS}));
    running.queue.publish([twice.clone()]);
    running.queue.until(|state| (state.notices.len() == 1).then_some(())).await;
    running.queue.publish([twice]);
    running.queue.outcomes(1).await;
    running.queue.with(|state| {
        assert_eq!(state.reports[0].0.entry, "2", "reported under the latest delivery");
        state.out = 0;
    });
    let report = running.stop().await;
    assert_eq!(report.completed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_outlasts_an_outage_of_the_queue() {
    let running = Running::start();
    running.queue.publish([job(1, json!({"delay_ms": 1_000, "result": {"kept": true}}))]);
    running.queue.until(|state| (state.notices.len() == 1).then_some(())).await;
    running.queue.with(|state| state.down = true);
    running.queue.until(|state| (state.refused_reports >= 20).then_some(())).await;
    running.queue.with(|state| state.down = false);
    let Outcome::Completed { duration_ms, result } = running.queue.outcomes(1).await.remove(0) else {
        panic!("completed")
    };
    assert_eq!((duration_ms, result.get()), (1_000, r#"{"kept":true}"#));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_jobs_are_taken_again_and_meanwhile_the_queue_is_not_stormed() {
    let running = Running::start();
    running.queue.with(|state| state.down = true);
    let began = Instant::now();
    running.queue.until(|state| (state.asked.len() == 25).then_some(())).await;
    let longest = Duration::from_millis(25 * OUTAGE_PAUSE_MAX_MS);
    assert!((longest / 2..longest).contains(&began.elapsed()), "25 calls within {:?}", began.elapsed());
    running.queue.with(|state| state.down = false);
    running.queue.publish([job(1, json!({}))]);
    assert!(matches!(running.queue.outcomes(1).await[0], Outcome::Completed { .. }));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_while_their_leases_cannot_be_renewed() {
    let running = Running::start();
    running.queue.publish([job(1, json!({"delay_ms": LONG_MS}))]);
    running.queue.until(|state| (state.notices.len() == 1).then_some(())).await;
    running.queue.with(|state| state.down = true);
    running.queue.until(|state| (state.refused_renewals >= 3).then_some(())).await;
    running.queue.with(|state| state.down = false);
    assert!(matches!(running.queue.outcomes(1).await[0], Outcome::Completed { duration_ms: LONG_MS, .. }));
    running.queue.with(|state| assert!(!state.renewals.is_empty(), "renewed again afterwards"));
    running.stop().await;
}
