//! `POST /api/orchestration/run`: one run, and by default its outcome.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use hermes_core::{Run, RunId, RunStatus, RunSummary};
use serde::Serialize;

use super::Api;
use super::body::Members;
use super::prefer::{Prefer, Wait};
use super::problem::{Kind, Problem, Success};
use super::query::no_such_run;
use super::submit::{Plans, Wanted, key_problem, key_reused};
use crate::engine::Submitted;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Pause before a waiting client's run is read again when the store did not answer.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(250);

/// The customer's answer.
#[derive(Serialize)]
struct Answer {
    success: bool,
    run_id: RunId,
    status: RunStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<RunSummary>,
}

/// A submission that is durable, and what the client wants to know about it.
struct Begun {
    run_id: RunId,
    /// The run as far as it is known already.
    run: Option<Run>,
    wait: Wait,
    applied: Option<String>,
    longest: Duration,
}

pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let mut begun = api.in_time(begin(&api, request)).await?;
    let longest = begun.wait.at_most(begun.longest + api.options.wait_slack);
    if longest > Duration::ZERO {
        // Whatever comes of the wait, the run is accepted and its id is known: an error would be the wrong answer.
        let _ = tokio::time::timeout(longest, until_settled(&api, begun.run_id, &mut begun.run)).await;
    } else if begun.run.is_none() {
        begun.run = api.in_time(async { Ok(api.engine.store().run(begun.run_id).await?) }).await?;
    }
    Ok(answer(begun))
}

async fn begin(api: &Api, request: Request) -> Result<Begun, Problem> {
    let (parts, body) = request.into_parts();
    let key = idempotency_key(&parts.headers)?;
    let prefer = Prefer::of(&parts.headers);
    let mut members = Members::read(&parts.headers, body).await?;
    let wait: Option<bool> = members.optional("wait")?;
    let wanted = Wanted::of(&mut members)?;
    api.engine.check_admission()?;
    let submission = wanted.with_plan(&mut Plans::new(api.engine.store().as_ref()), key).await?;
    let longest = Duration::from_millis(submission.plan.max_duration_ms());
    let (run_id, run) = match api.engine.submit(submission).await? {
        Submitted::Accepted(run) => (run.id(), Some(*run)),
        Submitted::Repeated(run_id) => (run_id, None),
        Submitted::KeyReused => return Err(key_reused()),
    };
    // The body speaks about this run, the header about any: the body decides.
    let (wait, applied) = match wait {
        Some(false) => (Wait::No, None),
        Some(true) | None => (prefer.wait(), prefer.applied()),
    };
    Ok(Begun { run_id, run, wait, applied, longest })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let invalid = |detail: String| Problem::new(Kind::InvalidHeader, detail).with("field", "Idempotency-Key");
    let key =
        value.to_str().map_err(|_| invalid("An idempotency key has visible ASCII characters only.".to_owned()))?;
    key_problem(key).map_or(Ok(Some(key.to_owned())), |problem| Err(invalid(problem)))
}

/// Waits for the run to settle, or for the server to stop; keeps what it saw last in `seen`.
async fn until_settled(api: &Api, run_id: RunId, seen: &mut Option<Run>) {
    // Watching begins before the first look, so that no change falls between them.
    let mut watcher = api.engine.watch(run_id);
    let mut is_known = seen.is_some() && api.engine.left_open(run_id);
    loop {
        if !is_known {
            match api.engine.store().run(run_id).await {
                Ok(Some(run)) => *seen = Some(run),
                Ok(None) => return,
                Err(_) => tokio::time::sleep(READ_AGAIN_AFTER).await,
            }
        }
        if seen.as_ref().is_some_and(|run| run.status().is_settled()) {
            return;
        }
        tokio::select! {
            change = watcher.changed() => {
                is_known = change.is_some();
                if let Some(run) = change {
                    *seen = Some(Arc::unwrap_or_clone(run));
                }
            }
            () = api.options.shutdown.cancelled() => return,
        }
    }
}

fn answer(begun: Begun) -> Response {
    let Begun { run_id, run, applied, .. } = begun;
    let status = run.as_ref().map_or(RunStatus::Started, Run::status);
    let settled = run.filter(|run| run.status().is_settled());
    let success = if settled.is_some() { Success::Ok } else { Success::Accepted };
    let body = Answer { success: true, run_id, status, summary: settled.as_ref().map(Run::summary) };
    let mut response = success.json(&body);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location(run_id));
    if let Some(applied) = applied {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_str(&applied).expect("words and digits"));
    }
    response
}

/// Where a run can be looked at.
pub(super) fn path(run_id: RunId) -> String {
    format!("/api/orchestration/runs/{run_id}")
}

/// The same as a header.
pub(super) fn location(run_id: RunId) -> HeaderValue {
    HeaderValue::from_str(&path(run_id)).expect("a path of digits and letters")
}

/// The run, or the problem that there is none.
pub(super) async fn load(api: &Api, run_id: RunId) -> Result<Run, Problem> {
    api.engine.store().run(run_id).await?.ok_or_else(|| no_such_run(run_id))
}
