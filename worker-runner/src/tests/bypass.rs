//! While the queue is away, a dispatcher is told directly.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::ports::http::{Http, HttpError, Method, Request, Response};
use hermes_core::wire::{Callback, Job, Outcome, Report};
use serde_json::json;
use tokio::sync::mpsc;

use super::fake::{Running, job, key};
use crate::builtin::noop::Noop;
use crate::{Registry, RunnerOptions};

/// A dispatcher that answers with these statuses in turn, and with the last one from then on.
struct Dispatcher {
    statuses: std::sync::Mutex<Vec<u16>>,
    seen: mpsc::UnboundedSender<Request>,
}

#[async_trait]
impl Http for Dispatcher {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.seen.send(request).expect("the test listens");
        let mut statuses = self.statuses.lock().expect("no test panics inside");
        let status = if statuses.len() > 1 { statuses.remove(0) } else { statuses[0] };
        Ok(Response {
            status,
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 1,
            total_ms: 1,
        })
    }
}

fn start(statuses: &[u16]) -> (Running, mpsc::UnboundedReceiver<Request>) {
    let (seen, requests) = mpsc::unbounded_channel();
    let dispatcher = Dispatcher { statuses: std::sync::Mutex::new(statuses.to_vec()), seen };
    let registry = Registry::default().with(key(), Arc::new(Noop));
    (Running::over(Arc::new(dispatcher), registry, RunnerOptions::new(vec![key()])), requests)
}

fn with_callback() -> Job {
    let callback = Callback {
        url: "http://hermes.example/api/orchestration/runs/1/services/service/attempts/1/result".to_owned(),
        token: "the-token".to_owned(),
    };
    Job { callback: Some(callback), ..job(1, json!({"delay_ms": 1_000, "result": {"kept": true}})) }
}

async fn queue_goes_away_in_mid_attempt(running: &Running, job: Job) {
    running.queue.publish([job]);
    running.queue.until(|state| (state.notices.len() == 1).then_some(())).await;
    running.queue.with(|state| state.down = true);
}

#[tokio::test(start_paused = true)]
async fn a_report_goes_to_a_dispatcher_while_the_queue_is_away_and_to_the_queue_afterwards() {
    let (running, mut requests) = start(&[503, 200]);
    queue_goes_away_in_mid_attempt(&running, with_callback()).await;
    for _ in 0..2 {
        let request = requests.recv().await.expect("a report");
        assert_eq!(request.method, Method::Post);
        assert_eq!(
            request.url.as_str(),
            "http://hermes.example/api/orchestration/runs/1/services/service/attempts/1/report"
        );
        assert!(request.headers.contains(&("authorization".to_owned(), "Bearer the-token".to_owned())));
        let report: Report = serde_json::from_slice(&request.body.expect("a body")).expect("a report");
        let result = Json::parse(r#"{"kept":true}"#).expect("valid");
        assert_eq!(report.outcome, Outcome::Completed { duration_ms: 1_000, result });
    }
    let refused = running.queue.with(|state| state.refused_reports);
    running.queue.until(|state| (state.refused_reports >= refused + 5).then_some(())).await;
    assert!(requests.try_recv().is_err(), "what a dispatcher has is not sent to it again");
    running.queue.with(|state| state.down = false);
    assert!(matches!(running.queue.outcomes(1).await[0], Outcome::Completed { .. }));
    assert_eq!(running.stop().await.completed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_report_that_a_dispatcher_has_is_delivered_even_if_the_queue_never_returns() {
    let (running, mut requests) = start(&[200]);
    queue_goes_away_in_mid_attempt(&running, Job { remaining_ms: 2_000, ..with_callback() }).await;
    requests.recv().await.expect("a report");
    // The report is kept for a minute longer than the run; then the slot is free again.
    running.queue.until(|state| (state.refused_reports >= 30).then_some(())).await;
    let report = running.stop().await;
    assert_eq!((report.completed, report.unreported), (1, 0));
}
