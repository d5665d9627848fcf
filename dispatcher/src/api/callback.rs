//! `POST /api/orchestration/runs/{id}/services/{service}/attempts/{attempt}/result`: an external worker that answered
//! 202 delivers its result. The token is good for this attempt only; a result that comes too late settles nothing, and
//! amends the diagnosis if the plan wants that.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use hermes_core::limits::RESULT_BYTES_MAX;
use hermes_core::run::Event;
use hermes_core::wire::{ErrorClass, JobId, Outcome, Report, ServiceError, WIRE_VERSION};
use hermes_core::{Json, Run, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::body::{self, Members};
use super::problem::{Kind, Problem, Success};
use super::query::Segments;
use super::run::load;

/// What the log calls a worker that it knows by its callback only.
const WORKER: &str = "callback";

pub(super) async fn deliver(State(api): State<Api>, segments: Segments, request: Request) -> Result<Response, Problem> {
    let job = job_of(&segments)?;
    let (parts, body) = request.into_parts();
    admitted(&api, &job, &parts.headers)?;
    body::media(&parts.headers)?;
    let answer = answer_of(&body::parse(&body::read(&parts.headers, body).await?)?)?;
    let before = load(&api, job.run_id).await?;
    let now = api.engine.store().now().await?;
    let outcome = answer.outcome(duration_ms(&before, &job, now));
    let report = Report { v: WIRE_VERSION, job: job.clone(), worker: WORKER.to_owned(), outcome };
    let event = Event::Reported { report, jitter: api.engine.entropy().jitter() };
    let after = api.engine.command(job.run_id, event).await?;
    let counted = counted(&answer, &job, &before, &after);
    let status = after.service(&job.service).map(|service| service.status);
    let amended =
        after.diagnosis_event_id().filter(|id| before.diagnosis_event_id().is_some_and(|earlier| earlier != *id));
    Ok(Success::Ok.json(&json!({
        "success": true,
        "counted": counted,
        "run_id": job.run_id,
        "service": job.service,
        "attempt": job.attempt,
        "status": status,
        "amended_diagnosis": amended,
    })))
}

/// Refuses whoever does not have the token of this attempt.
pub(super) fn admitted(api: &Api, job: &JobId, headers: &HeaderMap) -> Result<(), Problem> {
    if api.engine.callback_signer().verify(job, bearer(headers)) {
        return Ok(());
    }
    let detail = "The token is missing or belongs to another attempt; send it as 'Authorization: Bearer …'.";
    Err(Problem::new(Kind::Unauthorized, detail))
}

/// The attempt that the path names.
pub(super) fn job_of(segments: &Segments) -> Result<JobId, Problem> {
    let run_id = segments.run()?;
    let (service, attempt) = (segments.get("service"), segments.get("attempt"));
    match (service.parse(), attempt.parse()) {
        (Ok(service), Ok(attempt)) => Ok(JobId { run_id, service, attempt }),
        _ => Err(Problem::new(Kind::AttemptNotFound, format!("There is no attempt '{attempt}' at '{service}'."))),
    }
}

fn bearer(headers: &HeaderMap) -> &str {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" }
}

/// What the worker says: the same forms as in its direct answer.
#[derive(Debug, PartialEq)]
enum Answer {
    Result(Json),
    Failure { error: ServiceError, retryable: bool },
}

#[derive(Default, Deserialize)]
struct Failure {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Answer {
    fn outcome(&self, duration_ms: u64) -> Outcome {
        match self {
            Self::Result(result) => Outcome::Completed { duration_ms, result: result.clone() },
            Self::Failure { error, retryable } => {
                Outcome::Failed { duration_ms, error: error.clone(), retryable: *retryable, retry_after_ms: None }
            }
        }
    }
}

/// Reads `{"ok": true, "data": {…}}`, `{"ok": false, "error": {…}}`, or a bare object, which is then the result.
fn answer_of(json: &Json) -> Result<Answer, Problem> {
    let mut members = Members::of(json, "")?;
    match members.optional::<bool>("ok")? {
        Some(true) if members.has("data") => checked(members.raw("data")?, "data"),
        Some(true) | None => checked(json.clone(), ""),
        Some(false) => {
            let failure: Option<Failure> = members.optional("error")?;
            Ok(failed(&failure.unwrap_or_default()))
        }
    }
}

fn failed(Failure { code, message }: &Failure) -> Answer {
    let (class, retryable) = class_of(code);
    let words = match (code.as_str(), message.as_str()) {
        ("", "") => "it does not say why".to_owned(),
        (words, "") | ("", words) => words.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    Answer::Failure { error: ServiceError::new(class, format!("The worker failed: {words}")), retryable }
}

fn checked(result: Json, field: &str) -> Result<Answer, Problem> {
    if !result.get().trim_start().starts_with('{') {
        return Err(Problem::value(field, "A result is a JSON object."));
    }
    if result.get().len() > RESULT_BYTES_MAX {
        return Err(Problem::value(field, format!("A result has at most {RESULT_BYTES_MAX} bytes.")));
    }
    Ok(Answer::Result(result))
}

/// The contract's error codes as our classes, and whether another attempt might succeed; as for a direct answer.
fn class_of(code: &str) -> (ErrorClass, bool) {
    match code {
        "unauthorized" | "forbidden" => (ErrorClass::Authentication, false),
        "invalid_input" => (ErrorClass::InvalidInput, false),
        "rate_limited" => (ErrorClass::RateLimited, true),
        "upstream_error" | "timeout" => (ErrorClass::WorkerError, true),
        _ => (ErrorClass::WorkerError, false),
    }
}

/// Milliseconds since the attempt was seen to begin; the worker's own clock is not asked.
fn duration_ms(run: &Run, job: &JobId, now: Timestamp) -> u64 {
    let begun = run.service(&job.service).and_then(|service| service.started_at.or(service.queued_at));
    begun.map_or(0, |begun| now.since_ms(begun))
}

/// Whether the delivery decided the attempt. A result delivered twice is answered alike both times.
fn counted(answer: &Answer, job: &JobId, before: &Run, after: &Run) -> bool {
    let is_current = |run: &Run| run.service(&job.service).is_some_and(|service| service.attempt == job.attempt);
    match answer {
        Answer::Result(_) => {
            is_current(after) && after.service(&job.service).is_some_and(|service| service.result_seq.is_some())
        }
        Answer::Failure { .. } => {
            is_current(before) && before.service(&job.service).is_some_and(|service| service.status.has_open_attempt())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Answer, Problem> {
        answer_of(&Json::parse(text).expect("valid"))
    }

    #[test]
    fn a_result_comes_wrapped_or_bare() {
        let result = Answer::Result(Json::parse(r#"{"a":1}"#).expect("valid"));
        assert_eq!(answer(r#"{"ok": true, "service": "x", "data": {"a":1}}"#).expect("read"), result);
        assert_eq!(answer(r#"{"a":1}"#).expect("read"), result);
        let older = r#"{"ok": true, "a": 1}"#;
        assert_eq!(answer(older).expect("read"), Answer::Result(Json::parse(older).expect("valid")));
    }

    #[test]
    fn a_failure_keeps_its_code_and_message() {
        for (text, class, words, retryable) in [
            (
                r#"{"ok": false, "error": {"code": "rate_limited", "message": "slow down", "details": {}}}"#,
                ErrorClass::RateLimited,
                "rate_limited: slow down",
                true,
            ),
            (r#"{"ok": false, "error": {"code": "timeout"}}"#, ErrorClass::WorkerError, "timeout", true),
            (r#"{"ok": false, "error": {"message": "no"}}"#, ErrorClass::WorkerError, "no", false),
            (r#"{"ok": false}"#, ErrorClass::WorkerError, "it does not say why", false),
        ] {
            let error = ServiceError::new(class, format!("The worker failed: {words}"));
            assert_eq!(answer(text).expect("read"), Answer::Failure { error, retryable }, "{text}");
        }
    }

    #[test]
    fn an_answer_of_another_shape_is_refused_with_the_member() {
        for (text, field) in [
            ("[1]", ""),
            (r#"{"ok": "yes"}"#, "ok"),
            (r#"{"ok": true, "data": [1]}"#, "data"),
            (r#"{"ok": false, "error": "broken"}"#, "error"),
        ] {
            assert_eq!(answer(text).expect_err("refused").to_json()["field"], field, "{text}");
        }
    }

    #[test]
    fn a_token_is_read_from_the_bearer_scheme_only() {
        let token = |text: &str| {
            bearer(&HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().expect("a value"))])).to_owned()
        };
        assert_eq!(token("Bearer abc"), "abc");
        assert_eq!(token("bearer  abc"), "abc");
        assert_eq!(token("Basic abc"), "");
        assert_eq!(token("abc"), "");
        assert_eq!(bearer(&HeaderMap::new()), "");
    }
}
