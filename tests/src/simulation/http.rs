//! The only address in the simulated network: a dispatcher that takes reports while the queue is away.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::ports::http::{Http, HttpError, Request, Response};
use hermes_core::run::Event;
use hermes_core::wire::Report;

use super::process::Process;

/// How long a dispatcher may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The network, seen from a process.
pub(super) struct Network(pub(super) Arc<Process>);

impl Network {
    /// The status with which some dispatcher answers.
    async fn report(&self, body: &[u8]) -> u16 {
        let report: Report = serde_json::from_slice(body).expect("nothing but reports is sent here");
        let Some(engine) = self.0.world.any_dispatcher() else { return 503 };
        let run_id = report.job.run_id;
        let event = Event::Reported { report, jitter: engine.entropy().jitter() };
        match tokio::time::timeout(PATIENCE, engine.command(run_id, event)).await {
            Ok(Ok(_)) => {
                self.0.world.ledger.saw("report around the queue");
                200
            }
            Ok(Err(_)) | Err(_) => 503,
        }
    }
}

#[async_trait]
impl Http for Network {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let body = request.body.unwrap_or_default();
        let status = self.0.alive(self.report(&body)).await;
        Ok(Response {
            status,
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            truncated: false,
            content_encoding: None,
            ttfb_ms: 0,
            total_ms: 0,
        })
    }
}
