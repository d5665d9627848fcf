//! `GET /api/orchestration/runs` and `/runs/{id}`: what there is, and where each of it stands.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use hermes_core::limits::PAGE_RUNS_MAX;
use hermes_core::ports::store::{RunFilter, RunListing};
use hermes_core::run::Waiting;
use hermes_core::wire::ErrorClass;
use hermes_core::{EventId, Run, RunId, RunStatus, RunSummary, ServiceName, ServiceStatus, Timestamp, WorkerKey};
use serde::Serialize;

use super::Api;
use super::problem::{Problem, Success};
use super::query::{Query, Segments, cut};
use super::run::{load, path};

const PAGE_DEFAULT: usize = 50;

#[derive(Serialize)]
struct Page {
    success: bool,
    runs: Vec<RunListing>,
    next_cursor: Option<RunId>,
}

/// One run with everything that is known about its services.
#[derive(Serialize)]
pub(super) struct RunView {
    success: bool,
    run_id: RunId,
    status: RunStatus,
    revision: u32,
    created_at: Timestamp,
    deadline_at: Timestamp,
    late_results: u32,
    last_seq: u64,
    summary: RunSummary,
    services: Vec<ServiceView>,
    links: Links,
}

/// One service: the members of the reference's `service_results`, and what explains them.
#[derive(Serialize)]
struct ServiceView {
    service: ServiceName,
    display_name: String,
    worker_key: WorkerKey,
    required: bool,
    status: ServiceStatus,
    attempt: u32,
    max_attempts: u32,
    queued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    duration_ms: Option<u64>,
    error: Option<String>,
    error_class: Option<ErrorClass>,
    caused_by: Option<ServiceName>,
    waiting: Option<Waiting>,
    result_event_id: Option<EventId>,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    run: String,
    events: String,
    diagnosis: String,
    cancel: String,
    rerun: String,
    plan: String,
}

impl RunView {
    pub(super) fn of(run: &Run) -> Self {
        let (state, path) = (run.state(), path(run.id()));
        Self {
            success: true,
            run_id: run.id(),
            status: state.status,
            revision: state.revision,
            created_at: state.created_at,
            deadline_at: state.deadline_at,
            late_results: state.late_results,
            last_seq: state.last_seq,
            summary: run.summary(),
            services: (0..run.plan().services().len()).map(|position| service(run, position)).collect(),
            links: Links {
                events: format!("{path}/events"),
                diagnosis: format!("{path}/diagnosis"),
                cancel: format!("{path}/cancel"),
                rerun: format!("{path}/rerun"),
                plan: format!("/api/orchestration/plans/{}", run.plan().id()),
                run: path,
            },
        }
    }
}

fn service(run: &Run, position: usize) -> ServiceView {
    let (service, state) = (&run.plan().services()[position], &run.state().services[position]);
    ServiceView {
        service: service.name().clone(),
        display_name: service.display_name().to_owned(),
        worker_key: service.worker_key().clone(),
        required: service.required(),
        status: state.status,
        attempt: state.attempt,
        max_attempts: service.max_attempts(),
        queued_at: state.queued_at,
        started_at: state.started_at,
        completed_at: state.settled_at,
        duration_ms: state.duration_ms,
        error: state.error.as_ref().map(|error| error.message.clone()),
        error_class: state.error.as_ref().map(|error| error.class),
        caused_by: state.cause.clone(),
        waiting: run.waiting(position),
        result_event_id: state.result_seq.map(|seq| EventId { run_id: run.id(), seq }),
    }
}

pub(super) async fn list(State(api): State<Api>, uri: Uri) -> Result<Response, Problem> {
    let known = ["status", "plan", "website", "domain", "since", "until", "limit", "cursor"];
    let query = Query::of(&uri, &known)?;
    let filter = RunFilter {
        status: query.get("status")?,
        plan_id: query.get("plan")?,
        website_id: query.get("website")?,
        domain: query.get("domain")?,
        since: query.get("since")?,
        until: query.get("until")?,
    };
    let limit = query.limit(PAGE_DEFAULT, PAGE_RUNS_MAX)?;
    let runs = api.engine.store().runs(&filter, query.get("cursor")?, limit + 1).await?;
    let (runs, more) = cut(runs, limit);
    let next_cursor = runs.last().filter(|_| more).map(|run| run.summary.run_id);
    Ok(Success::Ok.json(&Page { success: true, runs, next_cursor }))
}

pub(super) async fn show(State(api): State<Api>, segments: Segments) -> Result<Response, Problem> {
    Ok(Success::Ok.json(&RunView::of(&load(&api, segments.run()?).await?)))
}
