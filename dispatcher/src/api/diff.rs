//! `GET /api/orchestration/runs/{id}/diff/{other}`: what changed from the diagnosis of one run to that of another.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use hermes_core::RunId;
use hermes_diagnosis::diff::{WhatChanged, between};
use serde::Serialize;

use super::Api;
use super::diagnosis::{Wanted, find};
use super::problem::{Problem, Success};
use super::query::{Query, Segments, no_such_run};
use super::run::load;

#[derive(Serialize)]
struct Answer {
    success: bool,
    from: RunId,
    to: RunId,
    /// The members of `what_changed` in a diagnosis.
    #[serde(flatten)]
    changed: WhatChanged,
}

pub(super) async fn show(State(api): State<Api>, segments: Segments, uri: Uri) -> Result<Response, Problem> {
    Query::of(&uri, &[])?;
    let from = segments.run()?;
    let to: RunId = segments.get("other").parse().map_err(|_| no_such_run(segments.get("other")))?;
    let earlier = find(&api, &load(&api, from).await?, Wanted::default()).await?.event;
    let later = find(&api, &load(&api, to).await?, Wanted::default()).await?.event;
    let changed = between(api.engine.book(), earlier.payload.get(), later.payload.get());
    Ok(Success::Ok.json(&Answer { success: true, from, to, changed }))
}
