//! `GET /api/orchestration/runs/{id}/diagnosis`: the diagnosis of the current revision, or of an earlier one, as it is now,
//! or as it was before late results amended it.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use hermes_core::kbase::{DIAGNOSIS, Fact, HERMES, KbaseEvent, RUN_STATUS};
use hermes_core::limits::PAGE_EVENTS_MAX;
use hermes_core::plan::LateResults;
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
    edition: usize,
    editions: usize,
    event_id: EventId,
    created_at: Timestamp,
    diagnosis: Json,
}

/// Which diagnosis of a run is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// The revision of the run; the current one by default.
    revision: Option<u32>,
    /// 1 for the diagnosis with which the revision settled, 2 for its first amendment …; the newest by default.
    edition: Option<usize>,
}

/// A diagnosis.
pub(super) struct Found {
    revision: u32,
    edition: usize,
    editions: usize,
    /// The event that carries it.
    pub(super) event: KbaseEvent,
}

impl Wanted {
    /// The parameters that [`Self::of`] reads.
    pub(super) const PARAMETERS: [&str; 2] = ["revision", "edition"];

    pub(super) fn of(query: &Query) -> Result<Self, Problem> {
        Ok(Self { revision: query.get("revision")?, edition: query.get("edition")? })
    }
}

pub(super) async fn show(State(api): State<Api>, segments: Segments, uri: Uri) -> Result<Response, Problem> {
    let run_id = segments.run()?;
    let wanted = Wanted::of(&Query::of(&uri, &Wanted::PARAMETERS)?)?;
    let Found { revision, edition, editions, event } = find(&api, &load(&api, run_id).await?, wanted).await?;
    let KbaseEvent { event_id, created_at, payload: diagnosis, .. } = event;
    let success = true;
    Ok(Success::Ok.json(&Answer { success, run_id, revision, edition, editions, event_id, created_at, diagnosis }))
}

/// The wanted diagnosis of a run.
pub(super) async fn find(api: &Api, run: &Run, wanted: Wanted) -> Result<Found, Problem> {
    let revision = wanted.revision.unwrap_or(run.state().revision);
    let current = (revision == run.state().revision).then(|| run.diagnosis_event_id());
    let mut editions = match current {
        Some(None) => return Err(none_yet(run)),
        // The only one: nothing amends it.
        Some(Some(event_id)) if run.plan().late_results() == LateResults::Keep => {
            api.engine.store().events(&[event_id]).await?
        }
        Some(Some(_)) | None => editions(api, run.id(), revision).await?,
    };
    if editions.is_empty() {
        let detail =
            format!("Revision {revision} of the run has no diagnosis; the run is at {}.", run.state().revision);
        return Err(Problem::new(Kind::NoDiagnosis, detail).with("revision", revision));
    }
    let count = editions.len();
    let edition = wanted.edition.unwrap_or(count);
    if !(1..=count).contains(&edition) {
        let detail = format!("The diagnosis of revision {revision} has {count} editions, and no edition {edition}.");
        return Err(Problem::new(Kind::NoDiagnosis, detail).with("revision", revision).with("editions", count));
    }
    Ok(Found { revision, edition, editions: count, event: editions.swap_remove(edition - 1) })
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

/// The diagnoses between the start of `revision` and the start of the next one, in their order.
async fn editions(api: &Api, run_id: RunId, revision: u32) -> Result<Vec<KbaseEvent>, Problem> {
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
    let Some(begin) = start_of(revision) else { return Ok(Vec::new()) };
    let end = start_of(revision.saturating_add(1)).unwrap_or(u64::MAX);
    let mut diagnoses = store.kbase(&by_type(DIAGNOSIS), None, PAGE_EVENTS_MAX).await?;
    diagnoses.retain(|event| (begin..end).contains(&event.seq));
    diagnoses.sort_by_key(|event| event.seq);
    Ok(diagnoses)
}
