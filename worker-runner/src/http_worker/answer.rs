//! What a worker's answer means: a pure function from one exchange to the outcome of the attempt.
//!
//! A failure is retryable if nothing was reached (DNS, connection), if the answer says "later" (429, 502 to 504, or the
//! codes `rate_limited`, `upstream_error`, `timeout`), or if it broke off. Time that ran out here is not retried: it
//! was the attempt's own.

use hermes_core::json::Json;
use hermes_core::limits::RESULT_BYTES_MAX;
use hermes_core::ports::http::{HttpError, Response};
use hermes_core::wire::{ErrorClass, Outcome, ServiceError};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::redact::Redactor;
use crate::retry_after::retry_after_ms;

/// What became of one call to an external worker.
#[derive(Clone, Debug, PartialEq)]
pub enum CallOutcome {
    /// The worker is done; this is its result, a JSON object.
    Completed(Json),
    /// The worker took the job (202) and will deliver the result to the callback.
    Accepted,
    /// There is no result.
    Failed(Failure),
}

/// Why a call has no result, and what that means for another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Class and text; never with a credential.
    pub error: ServiceError,
    /// Whether another attempt may succeed without anybody changing anything.
    pub retryable: bool,
    /// Milliseconds that the worker asked to wait.
    pub retry_after_ms: Option<u64>,
}

impl CallOutcome {
    /// The same in the words of a worker's report, for an attempt that took `duration_ms`.
    #[must_use]
    pub fn into_outcome(self, duration_ms: u64) -> Outcome {
        match self {
            Self::Completed(result) => Outcome::Completed { duration_ms, result },
            Self::Accepted => Outcome::Deferred,
            Self::Failed(Failure { error, retryable, retry_after_ms }) => {
                Outcome::Failed { duration_ms, error, retryable, retry_after_ms }
            }
        }
    }

    fn failed(class: ErrorClass, message: impl AsRef<str>) -> Self {
        Self::Failed(Failure { error: ServiceError::new(class, message), retryable: false, retry_after_ms: None })
    }

    /// The same failure, worth another attempt or not.
    fn retryable(self, retryable: bool, retry_after_ms: Option<u64>) -> Self {
        match self {
            Self::Failed(failure) => Self::Failed(Failure { retryable, retry_after_ms, ..failure }),
            Self::Completed(_) | Self::Accepted => self,
        }
    }
}

/// What workers wrap their results and failures in. Older ones do not: then nothing of it is there.
#[derive(Default, Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    ok: Option<serde_json::Value>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<serde_json::Value>,
}

/// A failure in the worker's own words.
struct Complaint {
    code: String,
    text: String,
}

impl Envelope<'_> {
    fn complaint(&self) -> Option<Complaint> {
        if self.ok != Some(serde_json::Value::Bool(false)) {
            return None;
        }
        let member = |name: &str| {
            let value = self.error.as_ref()?.get(name)?;
            value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let plain = self.error.as_ref().and_then(|error| error.as_str()).map(str::to_owned);
        let code = member("code").unwrap_or_else(|| "no code".to_owned());
        let text = member("message").or(plain).unwrap_or_else(|| "no message".to_owned());
        Some(Complaint { code, text })
    }
}

/// Sorts the answer of `endpoint` into result, promise or failure. `can_wait`: a callback was offered, so that 202 is
/// an answer.
pub(super) fn judge(
    answer: Result<Response, HttpError>,
    endpoint: &str,
    can_wait: bool,
    redactor: &Redactor,
) -> CallOutcome {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return not_reached(&error, redactor),
    };
    match response.status {
        202 => accepted(&response, can_wait, redactor),
        200..=299 => succeeded(&response, redactor),
        _ => refused(&response, endpoint, redactor),
    }
}

fn not_reached(error: &HttpError, redactor: &Redactor) -> CallOutcome {
    let mut retry_after_ms = None;
    let (class, retryable) = match error {
        HttpError::Refused { .. } => (ErrorClass::TargetRefused, false),
        HttpError::Dns { .. } => (ErrorClass::Dns, true),
        // Broken off in the middle is what a gateway would have reported as 502.
        HttpError::Connect { .. } | HttpError::Protocol { .. } => (ErrorClass::Connection, true),
        HttpError::Tls { .. } => (ErrorClass::Tls, false),
        HttpError::Timeout { .. } => (ErrorClass::Timeout, false),
        HttpError::HeldBack { retry_after_ms: wait_ms, .. } => {
            retry_after_ms = Some(*wait_ms);
            (ErrorClass::RateLimited, true)
        }
    };
    let message = format!("Worker unreachable: {error}");
    CallOutcome::failed(class, redactor.clean(&message)).retryable(retryable, retry_after_ms)
}

fn accepted(response: &Response, can_wait: bool, redactor: &Redactor) -> CallOutcome {
    if let Some(complaint) = envelope(&response.body).and_then(|envelope| envelope.complaint()) {
        return complained(response, &complaint, redactor);
    }
    if can_wait {
        return CallOutcome::Accepted;
    }
    let message = "The worker answered 202, but it was offered no callback to deliver the result to";
    CallOutcome::failed(ErrorClass::InvalidResult, message)
}

/// A 2xx, except 202.
fn succeeded(response: &Response, redactor: &Redactor) -> CallOutcome {
    let status = response.status;
    let excerpt = || redactor.excerpt(&response.body);
    if response.truncated {
        if begins_like_html(&response.body) {
            return html(response, redactor);
        }
        let message = format!("The worker's answer is larger than {RESULT_BYTES_MAX} bytes");
        return CallOutcome::failed(ErrorClass::ResultTooLarge, message);
    }
    let text = match std::str::from_utf8(&response.body) {
        Ok(text) => text.trim_start_matches('\u{feff}').trim(),
        Err(_) => "",
    };
    let whole = match Json::parse(text) {
        Ok(whole) => whole,
        Err(_) if is_html(response) => return html(response, redactor),
        Err(_) if response.body.is_empty() => {
            let message = format!("The worker answered with an empty body where JSON was due (HTTP {status})");
            return CallOutcome::failed(ErrorClass::InvalidResult, message);
        }
        Err(error) => {
            let message = format!("The worker's answer cannot be read (HTTP {status}): {error}: {}", excerpt());
            return CallOutcome::failed(ErrorClass::InvalidResult, message);
        }
    };
    let Some(envelope) = envelope(whole.get().as_bytes()) else {
        let message = format!("The worker's answer is no JSON object, or names a member twice: {}", excerpt());
        return CallOutcome::failed(ErrorClass::InvalidResult, message);
    };
    if let Some(complaint) = envelope.complaint() {
        return complained(response, &complaint, redactor);
    }
    let wrapped = envelope.ok == Some(serde_json::Value::Bool(true));
    match envelope.data {
        Some(data) if wrapped && !data.get().starts_with('{') => {
            let message = format!("The worker's data is no JSON object: {}", redactor.excerpt(data.get().as_bytes()));
            CallOutcome::failed(ErrorClass::InvalidResult, message)
        }
        Some(data) if wrapped => {
            completed(Json::parse(data.get()).expect("it is a part of JSON that was accepted"), redactor)
        }
        Some(_) | None => completed(whole, redactor),
    }
}

/// A result, without the key where a worker repeats it.
fn completed(result: Json, redactor: &Redactor) -> CallOutcome {
    let Some(cleaned) = redactor.clean_json(result.get()) else { return CallOutcome::Completed(result) };
    match Json::parse(&cleaned) {
        Ok(cleaned) => CallOutcome::Completed(cleaned),
        // The key stands where no text does: it is a number, or a member's name that is needed.
        Err(_) => CallOutcome::failed(ErrorClass::InvalidResult, "The worker's result repeats its API key"),
    }
}

/// `ok: false` on a 2xx: the code alone says what happened.
fn complained(response: &Response, complaint: &Complaint, redactor: &Redactor) -> CallOutcome {
    let class = match complaint.code.as_str() {
        "unauthorized" | "forbidden" => ErrorClass::Authentication,
        "invalid_input" => ErrorClass::InvalidInput,
        "rate_limited" => ErrorClass::RateLimited,
        _ => ErrorClass::WorkerError,
    };
    let message = format!("The worker failed: {}", in_its_words(complaint, redactor));
    let retryable = asks_to_retry(&complaint.code);
    CallOutcome::failed(class, message).retryable(retryable, retry_after_ms(response).filter(|_| retryable))
}

/// Everything but a 2xx.
fn refused(response: &Response, endpoint: &str, redactor: &Redactor) -> CallOutcome {
    let status = response.status;
    let complaint = envelope(&response.body).and_then(|envelope| envelope.complaint());
    let words = match &complaint {
        Some(complaint) => in_its_words(complaint, redactor),
        None => redactor.excerpt(&response.body),
    };
    let (class, what) = match status {
        300..=399 => return redirected(response, redactor),
        400 | 422 => (ErrorClass::InvalidInput, "The worker refused the request".to_owned()),
        401 | 403 => (ErrorClass::Authentication, "The worker rejected the API key".to_owned()),
        404 => (ErrorClass::NotFound, format!("Worker endpoint {endpoint} not found")),
        429 => (ErrorClass::RateLimited, "The worker is rate limited".to_owned()),
        500..=599 => (ErrorClass::ServerError, "The worker had a server error".to_owned()),
        _ => (ErrorClass::Unknown, "The worker's answer is not understood".to_owned()),
    };
    let by_code = status >= 500 && complaint.as_ref().is_some_and(|complaint| asks_to_retry(&complaint.code));
    let retryable = matches!(status, 429 | 502..=504) || by_code;
    let colon = if words.is_empty() { "" } else { ": " };
    let message = format!("{what} (HTTP {status}){colon}{words}");
    CallOutcome::failed(class, message).retryable(retryable, retry_after_ms(response).filter(|_| retryable))
}

fn redirected(response: &Response, redactor: &Redactor) -> CallOutcome {
    // A query may hold a session or a token; where to is told by what stands before it.
    let target = response.header("location").and_then(|to| to.split(['?', '#']).next()).unwrap_or("nowhere");
    let target = target.rsplit_once('@').map_or(target, |(_, behind_the_user)| behind_the_user);
    let target = redactor.excerpt(target.as_bytes());
    let message =
        format!("The worker redirects to {target} (HTTP {}); its base URL must be the final address", response.status);
    CallOutcome::failed(ErrorClass::UnexpectedRedirect, message)
}

fn html(response: &Response, redactor: &Redactor) -> CallOutcome {
    let excerpt = redactor.excerpt(&response.body);
    let message = format!(
        "The worker answered with an HTML page where JSON was due (HTTP {}); is its base URL right? {excerpt}",
        response.status
    );
    CallOutcome::failed(ErrorClass::HtmlInsteadOfJson, message)
}

fn is_html(response: &Response) -> bool {
    let named = response.header("content-type").is_some_and(|named| named.to_ascii_lowercase().contains("html"));
    named || begins_like_html(&response.body)
}

fn begins_like_html(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    body.trim_ascii_start().starts_with(b"<")
}

/// The envelope, as far as the body is a JSON object with members of the right kind.
fn envelope(body: &[u8]) -> Option<Envelope<'_>> {
    // A sequence would be read as a struct, too.
    let body = body.trim_ascii();
    if body.starts_with(b"{") { serde_json::from_slice(body).ok() } else { None }
}

fn asks_to_retry(code: &str) -> bool {
    matches!(code, "rate_limited" | "upstream_error" | "timeout")
}

fn in_its_words(complaint: &Complaint, redactor: &Redactor) -> String {
    redactor.excerpt(format!("{}: {}", complaint.code, complaint.text).as_bytes())
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
