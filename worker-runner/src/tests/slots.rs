//! How much is taken at a time.

use serde_json::json;

use super::fake::{Running, job};
use crate::builtin::noop::Noop;
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn a_worker_takes_only_what_it_has_free_slots_for() {
    let running = Running::serving(Arc::new(Noop), 3);
    running.queue.publish((1..=20).map(|number| job(number, json!({"delay_ms": 100 + number}))));
    running.queue.until(|state| (state.out == 3).then_some(())).await;
    running.queue.with(|state| assert_eq!(state.waiting.len(), 17, "the rest is there for others"));
    running.queue.outcomes(20).await;
    running.queue.with(|state| {
        assert_eq!(state.most_out, 3);
        assert!(state.asked.iter().all(|max| (1..=3).contains(max)), "{:?}", state.asked);
    });
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_short_jobs_are_taken_many_at_a_time() {
    let running = Running::serving(Arc::new(Noop), 64);
    running.queue.publish((1..=640).map(|number| job(number, json!({}))));
    running.queue.outcomes(640).await;
    running.queue.with(|state| assert!(state.asked.len() < 200, "{} calls for 640 jobs", state.asked.len()));
    assert_eq!(running.stop().await.completed, 640);
}
