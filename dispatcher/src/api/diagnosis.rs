//! `GET /api/orchestration/runs/{id}/diagnosis`: the diagnosis of the current revision, or of an earlier one.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use hermes_core::kbase::{DIAGNOSIS, Fact, HERMES, KbaseEvent, RUN_STATUS};
use hermes_core::limits::PAGE_EVENTS_MAX;
use hermes_core::ports::store::EventFilter;
use hermes_core::{EventId, Json, Run, RunId, Timestamp};
use serde::Serialize;

use super::Api;
use super::problem::{Kind, Problem, Success};
use super::query::{Query, Segments};
use super::run::load;

#[derive(Serialize)]
struct Answer {
    success: bool,
    run_id: RunId,
    revision: u32,
    event_id: EventId,
    created_at: Timestamp,
    diagnosis: Json,
}

pub(super) async fn show(State(api): State<Api>, segments: Segments, uri: Uri) -> Result<Response, Problem> {
    let run_id = segments.run()?;
    let wanted: Option<u32> = Query::of(&uri, &["revision"])?.get("revision")?;
    let (revision, event) = find(&api, &load(&api, run_id).await?, wanted).await?;
    let KbaseEvent { event_id, created_at, payload, .. } = event;
    Ok(Success::Ok.json(&Answer { success: true, run_id, revision, event_id, created_at, diagnosis: payload }))
}

/// The diagnosis of the wanted revision, else of the current one.
pub(super) async fn find(api: &Api, run: &Run, wanted: Option<u32>) -> Result<(u32, KbaseEvent), Problem> {
    let revision = wanted.unwrap_or(run.state().revision);
    let event = if revision == run.state().revision {
        let event_id = run.diagnosis_event_id().ok_or_else(|| none_yet(run))?;
        api.engine.store().events(&[event_id]).await?.pop()
    } else {
        earlier(api, run.id(), revision).await?
    };
    let event = event.ok_or_else(|| {
        let detail =
            format!("Revision {revision} of the run has no diagnosis; the run is at {}.", run.state().revision);
        Problem::new(Kind::NoDiagnosis, detail).with("revision", revision)
    })?;
    Ok((revision, event))
}

/// Why the current revision has no diagnosis.
fn none_yet(run: &Run) -> Problem {
    let state = run.state();
    let detail = match &state.synthesis_error {
        Some(error) => format!("The synthesis failed: {error}"),
        None => format!("The run is {}; its diagnosis is due by {} at the latest.", state.status, state.deadline_at),
    };
    Problem::new(Kind::NoDiagnosis, detail)
        .with("run_status", state.status.as_str())
        .with("revision", state.revision)
        .with("deadline_at", state.deadline_at.to_string())
}

/// The diagnosis between the start of `revision` and the start of the next one.
async fn earlier(api: &Api, run_id: RunId, revision: u32) -> Result<Option<KbaseEvent>, Problem> {
    let by_type = |kind: &str| EventFilter {
        run_id: Some(run_id),
        service: Some(HERMES.to_owned()),
        kind: Some(kind.to_owned()),
        ..EventFilter::default()
    };
    let store = api.engine.store();
    let statuses = store.kbase(&by_type(RUN_STATUS), None, PAGE_EVENTS_MAX).await?;
    let start_of = |wanted: u32| {
        statuses.iter().find_map(|event| match Fact::from_columns(&event.service, &event.kind, &event.payload) {
            Ok(Fact::RunStarted(start)) if start.revision == wanted => Some(event.seq),
            Ok(_) | Err(_) => None,
        })
    };
    let Some(begin) = start_of(revision) else { return Ok(None) };
    let end = start_of(revision.saturating_add(1)).unwrap_or(u64::MAX);
    let diagnoses = store.kbase(&by_type(DIAGNOSIS), None, PAGE_EVENTS_MAX).await?;
    Ok(diagnoses.into_iter().find(|event| (begin..end).contains(&event.seq)))
}
