//! Every status code that the API answers with, and the body of every error.
//!
//! Errors are `application/problem+json` (RFC 9457) and keep the customer's members `success`, `error` and `message`.
//! What went wrong inside is logged, never told: a cause may name hosts and accounts.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hermes_core::ports::store::StoreError;
use hermes_core::run::Illegal;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::engine::{CommandError, EngineError};

/// Seconds after which a client may try again what was refused for lack of service.
const RETRY_AFTER_S: &str = "1";

/// What can be wrong with a request or with us, each with one status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The body is no JSON.
    InvalidJson,
    /// A header has no usable value.
    InvalidHeader,
    /// The plan of a submission does not exist.
    UnknownPlan,
    /// The token of a callback is missing or wrong.
    Unauthorized,
    /// A page of another origin tries to use the API.
    ForeignOrigin,
    /// The `Host` is none of ours.
    ForeignHost,
    /// There is nothing under this path.
    UnknownPath,
    /// There is no such run.
    RunNotFound,
    /// There is no such plan.
    PlanNotFound,
    /// There is no such attempt at a service.
    AttemptNotFound,
    /// The run has no diagnosis.
    NoDiagnosis,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// Cancelling needs an open run.
    AlreadySettled,
    /// Re-running needs a settled run.
    NotSettled,
    /// Re-running needs a service that is not completed.
    NothingToRerun,
    /// The body is too long.
    BodyTooLarge,
    /// The body is of a type that is not read here.
    UnsupportedMediaType,
    /// A value is wrong; the member `field` names it.
    InvalidValue,
    /// A plan is wrong; the member `problems` lists everything.
    InvalidPlan,
    /// The idempotency key belongs to another request.
    KeyReused,
    /// A defect of ours.
    Internal,
    /// What is asked for is stored, but cannot be read.
    StoredDataCorrupt,
    /// The store does not answer.
    StoreUnavailable,
    /// More is asked than can be taken on at the moment.
    Overloaded,
    /// No answer was found in the time that a request has.
    TimedOut,
    /// The store has no room left.
    StoreFull,
}

impl Kind {
    /// All kinds; a test pins their status codes.
    #[cfg(test)]
    const ALL: [Self; 26] = [
        Self::InvalidJson,
        Self::InvalidHeader,
        Self::UnknownPlan,
        Self::Unauthorized,
        Self::ForeignOrigin,
        Self::ForeignHost,
        Self::UnknownPath,
        Self::RunNotFound,
        Self::PlanNotFound,
        Self::AttemptNotFound,
        Self::NoDiagnosis,
        Self::MethodNotAllowed,
        Self::AlreadySettled,
        Self::NotSettled,
        Self::NothingToRerun,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::InvalidValue,
        Self::InvalidPlan,
        Self::KeyReused,
        Self::Internal,
        Self::StoredDataCorrupt,
        Self::StoreUnavailable,
        Self::Overloaded,
        Self::TimedOut,
        Self::StoreFull,
    ];

    /// Status code, last part of the `type`, and `title`.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidJson => (StatusCode::BAD_REQUEST, "invalid-json", "Invalid JSON"),
            Self::InvalidHeader => (StatusCode::BAD_REQUEST, "invalid-header", "Invalid header"),
            Self::UnknownPlan => (StatusCode::BAD_REQUEST, "unknown-plan", "Unknown plan"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, "foreign-origin", "Foreign origin"),
            Self::ForeignHost => (StatusCode::MISDIRECTED_REQUEST, "foreign-host", "Foreign host"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "unknown-path", "Not found"),
            Self::RunNotFound => (StatusCode::NOT_FOUND, "run-not-found", "Run not found"),
            Self::PlanNotFound => (StatusCode::NOT_FOUND, "plan-not-found", "Plan not found"),
            Self::AttemptNotFound => (StatusCode::NOT_FOUND, "attempt-not-found", "Attempt not found"),
            Self::NoDiagnosis => (StatusCode::NOT_FOUND, "no-diagnosis", "No diagnosis"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::AlreadySettled => (StatusCode::CONFLICT, "already-settled", "Run already settled"),
            Self::NotSettled => (StatusCode::CONFLICT, "not-settled", "Run not settled"),
            Self::NothingToRerun => (StatusCode::CONFLICT, "nothing-to-rerun", "Nothing to run again"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type")
            }
            Self::InvalidValue => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-value", "Invalid value"),
            Self::InvalidPlan => (StatusCode::UNPROCESSABLE_ENTITY, "invalid-plan", "Invalid plan"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", "Idempotency key reused"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::StoredDataCorrupt => {
                (StatusCode::INTERNAL_SERVER_ERROR, "stored-data-corrupt", "Stored data corrupt")
            }
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "Store unavailable"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Overloaded"),
            Self::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "timed-out", "Timed out"),
            Self::StoreFull => (StatusCode::INSUFFICIENT_STORAGE, "store-full", "Store full"),
        }
    }
}

/// An error as it is answered. Members that help a program go into [`Self::with`].
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    extra: Map<String, Value>,
    cause: Option<String>,
}

/// The members of an error's body, in the order in which people want to read them.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    problem_type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    success: bool,
    error: &'static str,
    message: &'a str,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

/// Why an error was answered, for the log: left in the extensions of the response.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) String);

impl Problem {
    /// An error of a kind, with a sentence that says what to change.
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), extra: Map::new(), cause: None }
    }

    /// A wrong value, with the name of the member, parameter or header that has it.
    pub(super) fn value(field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidValue, detail).with("field", field.into())
    }

    /// Adds a member for programs.
    pub(super) fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.to_owned(), value.into());
        self
    }

    fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// A defect of ours; the cause is logged and not told.
    pub(super) fn internal(cause: impl Into<String>) -> Self {
        Self::new(Kind::Internal, "The request met a defect of the server; its log has more under the X-Request-Id.")
            .caused_by(cause)
    }

    fn unavailable(cause: String) -> Self {
        Self::new(Kind::StoreUnavailable, "The store does not answer at the moment. Nothing was lost; try again.")
            .caused_by(cause)
    }

    fn full(cause: String) -> Self {
        Self::new(Kind::StoreFull, "The store has no room left; nothing was accepted. Tell the operator.")
            .caused_by(cause)
    }

    /// What is stored cannot be read; the cause is logged and not told.
    pub(super) fn corrupt(cause: String) -> Self {
        Self::new(
            Kind::StoredDataCorrupt,
            "What is stored under this name cannot be read. Nothing else is affected; the log has more under the \
             X-Request-Id. Tell the operator.",
        )
        .caused_by(cause)
    }

    /// The kind.
    #[cfg(test)]
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// The body.
    fn document(&self) -> Document<'_> {
        let (status, slug, title) = self.kind.row();
        Document {
            problem_type: format!("urn:hermes:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            success: false,
            error: title,
            message: &self.detail,
            extra: &self.extra,
        }
    }

    /// The body, as a part of another one.
    pub(super) fn to_json(&self) -> Value {
        serde_json::to_value(self.document()).expect("text and numbers serialise")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, ..) = self.kind.row();
        let body = serde_json::to_vec(&self.document()).expect("text and numbers serialise");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.cause {
            response.extensions_mut().insert(Cause(cause));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let text = error.to_string();
        match error {
            StoreError::Conflict(_) | StoreError::Unavailable(_) => Self::unavailable(text),
            StoreError::Full(_) => Self::full(text),
            StoreError::Corrupt { .. } => Self::corrupt(text),
            StoreError::Defect(_) => Self::internal(text),
        }
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Unavailable(cause) => Self::unavailable(cause),
            EngineError::Full(cause) => Self::full(cause),
            EngineError::Overloaded => {
                Self::new(Kind::Overloaded, "More runs are being submitted than can be written; try again.")
            }
            EngineError::Late => {
                Self::new(Kind::Overloaded, "Results of runs that were accepted before go first; try again.")
            }
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::NotFound => Self::new(Kind::RunNotFound, "There is no run with this id."),
            CommandError::Illegal(illegal) => Self::from(illegal),
            CommandError::Unavailable(cause) => Self::unavailable(cause),
            CommandError::Full(cause) => Self::full(cause),
            CommandError::Corrupt(cause) => Self::corrupt(cause),
        }
    }
}

impl From<Illegal> for Problem {
    fn from(illegal: Illegal) -> Self {
        let detail = sentence(&illegal.to_string());
        match illegal {
            Illegal::AlreadySettled(status) => {
                Self::new(Kind::AlreadySettled, detail).with("run_status", status.as_str())
            }
            Illegal::NotSettled => Self::new(Kind::NotSettled, detail),
            Illegal::NothingToRerun => Self::new(Kind::NothingToRerun, detail),
            Illegal::UnknownService(_) | Illegal::UnknownAttempt { .. } => Self::new(Kind::AttemptNotFound, detail),
            Illegal::ReservedType(_) => Self::value("type", detail),
            Illegal::NoSynthesisDue => Self::internal("a request caused a synthesis that was not due"),
        }
    }
}

/// An error's text as a sentence for people.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// How a request succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Success {
    /// Here is what was asked for.
    Ok,
    /// Something new is kept under the `Location`.
    Created,
    /// It goes on behind the answer; look at the `Location`.
    Accepted,
    /// There is nothing more to tell, now and later.
    Nothing,
}

impl Success {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Ok => StatusCode::OK,
            Self::Created => StatusCode::CREATED,
            Self::Accepted => StatusCode::ACCEPTED,
            Self::Nothing => StatusCode::NO_CONTENT,
        }
    }

    /// An answer with a JSON body.
    pub(super) fn json<T: Serialize>(self, body: &T) -> Response {
        let body = serde_json::to_vec(body).expect("own answers serialise");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }

    /// An answer with a text of a media type.
    pub(super) fn text(self, media_type: &'static str, body: String) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        response
    }

    /// An answer without a body.
    pub(super) fn empty(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_problem_has_the_status_code_and_type_that_clients_rely_on() {
        let table: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| {
                let (status, slug, _) = kind.row();
                format!("{kind:?} {} {slug}", status.as_u16())
            })
            .collect();
        let pinned = [
            "InvalidJson 400 invalid-json",
            "InvalidHeader 400 invalid-header",
            "UnknownPlan 400 unknown-plan",
            "Unauthorized 401 unauthorized",
            "ForeignOrigin 403 foreign-origin",
            "ForeignHost 421 foreign-host",
            "UnknownPath 404 unknown-path",
            "RunNotFound 404 run-not-found",
            "PlanNotFound 404 plan-not-found",
            "AttemptNotFound 404 attempt-not-found",
            "NoDiagnosis 404 no-diagnosis",
            "MethodNotAllowed 405 method-not-allowed",
            "AlreadySettled 409 already-settled",
            "NotSettled 409 not-settled",
            "NothingToRerun 409 nothing-to-rerun",
            "BodyTooLarge 413 body-too-large",
            "UnsupportedMediaType 415 unsupported-media-type",
            "InvalidValue 422 invalid-value",
            "InvalidPlan 422 invalid-plan",
            "KeyReused 422 idempotency-key-reused",
            "Internal 500 internal",
            "StoredDataCorrupt 500 stored-data-corrupt",
            "StoreUnavailable 503 store-unavailable",
            "Overloaded 503 overloaded",
            "TimedOut 503 timed-out",
            "StoreFull 507 store-full",
        ];
        assert_eq!(table, pinned);
    }

    #[test]
    fn every_success_has_its_status_code() {
        let all = [Success::Ok, Success::Created, Success::Accepted, Success::Nothing];
        assert_eq!(all.map(|success| success.status().as_u16()), [200, 201, 202, 204]);
    }

    #[test]
    fn a_problem_keeps_the_customers_members() {
        let problem =
            Problem::new(Kind::UnknownPlan, "There is no plan 'x'.").with("available_plans", vec!["quick-v1"]);
        let expected = json!({
            "type": "urn:hermes:problem:unknown-plan",
            "title": "Unknown plan",
            "status": 400,
            "detail": "There is no plan 'x'.",
            "success": false,
            "error": "Unknown plan",
            "message": "There is no plan 'x'.",
            "available_plans": ["quick-v1"],
        });
        assert_eq!(problem.to_json(), expected);
    }

    #[test]
    fn the_cause_of_a_defect_is_kept_for_the_log_and_not_told() {
        let problem = Problem::from(StoreError::Unavailable("postgres://user:pw@db refused".to_owned()));
        assert!(!problem.to_json().to_string().contains("pw"));
        let response = problem.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], RETRY_AFTER_S);
        let cause = response.extensions().get::<Cause>().expect("kept");
        assert!(cause.0.contains("refused"));
    }

    #[test]
    fn every_illegal_command_is_answered_with_its_kind() {
        use hermes_core::RunStatus;
        let attempt = Illegal::UnknownAttempt { service: "a".parse().expect("valid"), attempt: 9 };
        let pairs = [
            (Illegal::AlreadySettled(RunStatus::Failed), Kind::AlreadySettled),
            (Illegal::NotSettled, Kind::NotSettled),
            (Illegal::NothingToRerun, Kind::NothingToRerun),
            (Illegal::UnknownService("a".parse().expect("valid")), Kind::AttemptNotFound),
            (attempt, Kind::AttemptNotFound),
            (Illegal::ReservedType("result".to_owned()), Kind::InvalidValue),
            (Illegal::NoSynthesisDue, Kind::Internal),
        ];
        for (illegal, kind) in pairs {
            assert_eq!(Problem::from(illegal.clone()).kind(), kind, "{illegal}");
        }
    }
}
