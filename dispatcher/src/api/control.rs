//! `POST /api/orchestration/runs/{id}/cancel` and `/rerun`.

use axum::extract::State;
use axum::http::header;
use axum::response::Response;
use hermes_core::run::{Event, Illegal};
use hermes_core::{Run, RunStatus};

use super::Api;
use super::problem::{Problem, Success};
use super::query::Segments;
use super::run::{load, location};
use super::runs::RunView;
use crate::engine::CommandError;

/// Stops a run. Cancelling a cancelled run is no error, so that the request can be repeated.
pub(super) async fn cancel(State(api): State<Api>, segments: Segments) -> Result<Response, Problem> {
    let run_id = segments.run()?;
    match api.engine.command(run_id, Event::CancelRequested).await {
        Ok(run) => Ok(answer(&run)),
        Err(CommandError::Illegal(Illegal::AlreadySettled(RunStatus::Cancelled))) => {
            Ok(answer(&load(&api, run_id).await?))
        }
        Err(error) => Err(error.into()),
    }
}

/// Tries again what did not complete, as a new revision.
pub(super) async fn rerun(State(api): State<Api>, segments: Segments) -> Result<Response, Problem> {
    Ok(answer(&api.engine.command(segments.run()?, Event::RerunRequested).await?))
}

fn answer(run: &Run) -> Response {
    let success = if run.status().is_settled() { Success::Ok } else { Success::Accepted };
    let mut response = success.json(&RunView::of(run));
    response.headers_mut().insert(header::LOCATION, location(run.id()));
    response
}
