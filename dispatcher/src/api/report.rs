//! `POST /api/orchestration/runs/{id}/services/{service}/attempts/{attempt}/report`: a worker-runner that cannot reach the
//! queue says here how its attempt ended, in the words that it would have put into the queue. The token is the one of
//! the attempt; the same report by both ways counts once.

use axum::extract::{Request, State};
use axum::response::Response;
use hermes_core::run::Event;
use hermes_core::wire::{JobId, Report, WIRE_VERSION};
use serde_json::json;

use super::Api;
use super::body;
use super::callback::{admitted, job_of};
use super::problem::{Problem, Success};
use super::query::Segments;

pub(super) async fn deliver(State(api): State<Api>, segments: Segments, request: Request) -> Result<Response, Problem> {
    let job = job_of(&segments)?;
    let (parts, body) = request.into_parts();
    admitted(&api, &job, &parts.headers)?;
    body::media(&parts.headers)?;
    let report = report_of(&body::read(&parts.headers, body).await?, &job)?;
    let event = Event::Reported { report, jitter: api.engine.entropy().jitter() };
    let run = api.engine.command(job.run_id, event).await?;
    let status = run.service(&job.service).map(|service| service.status);
    Ok(Success::Ok.json(&json!({ "success": true, "status": status })))
}

fn report_of(body: &axum::body::Bytes, job: &JobId) -> Result<Report, Problem> {
    let report: Report = body::parse(body)?.read().map_err(|error| Problem::value("", error.to_string()))?;
    if report.v > WIRE_VERSION {
        let text = format!("Reports up to format {WIRE_VERSION} are read here; upgrade the dispatchers first.");
        return Err(Problem::value("v", text));
    }
    if report.job != *job {
        return Err(Problem::value("job", "The report is about another attempt than the address names."));
    }
    Ok(report)
}
