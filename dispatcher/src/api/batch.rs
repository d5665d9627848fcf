//! `POST /api/orchestration/runs/batch`: many submissions, one answer each, in order. They share commits.

use axum::extract::{Request, State};
use axum::response::Response;
use futures::future::join_all;
use hermes_core::Json;
use hermes_core::limits::BATCH_RUNS_MAX;
use serde_json::{Value, json};

use super::Api;
use super::body::Members;
use super::problem::{Problem, Success};
use super::run;
use super::submit::{Plans, Wanted, key_problem, key_reused};
use crate::engine::{Submission, Submitted};

pub(super) async fn create(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let items: Vec<Json> = Members::read(&parts.headers, body).await?.required("runs")?;
    if items.is_empty() || items.len() > BATCH_RUNS_MAX {
        let detail = format!("A batch has 1 to {BATCH_RUNS_MAX} runs; this one has {}.", items.len());
        return Err(Problem::value("runs", detail));
    }
    api.engine.check_admission()?;
    let mut plans = Plans::new(api.engine.store().as_ref());
    let mut submissions = Vec::with_capacity(items.len());
    for (position, item) in items.iter().enumerate() {
        submissions.push(submission(item, position, &mut plans).await);
    }
    // Polled in order, so the engine gets them in order; it answers each when its commit is done.
    let answers = join_all(submissions.into_iter().map(|submission| submit(&api, submission))).await;
    let accepted = answers.iter().filter(|answer| answer["success"] == true).count();
    let refused = answers.len() - accepted;
    Ok(Success::Ok.json(&json!({"success": true, "accepted": accepted, "refused": refused, "results": answers})))
}

async fn submission(item: &Json, position: usize, plans: &mut Plans<'_>) -> Result<Submission, Problem> {
    let mut members = Members::of(item, &format!("runs[{position}]."))?;
    let key: Option<String> = members.optional("idempotency_key")?;
    if let Some(problem) = key.as_deref().and_then(key_problem) {
        return Err(Problem::value(members.place("idempotency_key"), problem));
    }
    Wanted::of(&mut members)?.with_plan(plans, key).await
}

async fn submit(api: &Api, submission: Result<Submission, Problem>) -> Value {
    let submitted = async { Ok::<_, Problem>(api.engine.submit(submission?).await?) };
    match submitted.await {
        Ok(Submitted::Accepted(run)) => {
            json!({"success": true, "run_id": run.id(), "status": run.status(), "location": run::path(run.id())})
        }
        Ok(Submitted::Repeated(run_id)) => {
            json!({"success": true, "run_id": run_id, "repeated": true, "location": run::path(run_id)})
        }
        Ok(Submitted::KeyReused) => key_reused().to_json(),
        Err(problem) => problem.to_json(),
    }
}
