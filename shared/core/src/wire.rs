//! The messages between dispatchers and workers. They carry durations, never points in time, because clocks differ.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::{Domain, InvalidName, RunId, ServiceName, WebsiteId, WorkerKey};
use crate::json::Json;
use crate::limits::ERROR_BYTES_MAX;

/// Version of the message formats. A reader refuses a higher one and ignores members that it does not know.
pub const WIRE_VERSION: u32 = 1;

/// Identity of a job: one attempt at one service of one run. Text form `<run id>/<service>/<attempt>`; it is the
/// idempotency key that external workers see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobId {
    /// The run.
    pub run_id: RunId,
    /// The service.
    pub service: ServiceName,
    /// The attempt, from 1, counted over all revisions of the run.
    pub attempt: u32,
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run_id, self.service, self.attempt)
    }
}

impl FromStr for JobId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '/');
        let parsed = (|| {
            Some(Self {
                run_id: parts.next()?.parse().ok()?,
                service: parts.next()?.parse().ok()?,
                attempt: parts.next().filter(|text| is_plain_number(text))?.parse().ok()?,
            })
        })();
        parsed.ok_or_else(|| InvalidName {
            what: "job_id",
            text: text.chars().take(64).collect(),
            problem: "a job id looks like <run id>/<service>/<attempt>".to_owned(),
        })
    }
}

/// Whether a number is written as we write it: `+1` and `01` would be other texts for the same identity.
pub(crate) fn is_plain_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

/// The message that delivers an attempt to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`WIRE_VERSION`] of the writer.
    pub v: u32,
    /// Which attempt this is.
    pub id: JobId,
    /// The queue that it is for.
    pub worker_key: WorkerKey,
    /// The website that the run looks at.
    pub website_id: WebsiteId,
    /// The domain that the run looks at.
    pub domain: Domain,
    /// The service's parameters from the plan: a JSON object.
    pub params: Json,
    /// Milliseconds that the attempt may take once a worker has it.
    pub timeout_ms: u64,
    /// Milliseconds from publication until services of this run must be done; time spent in the queue counts.
    pub remaining_ms: u64,
    /// Results of the services that this one depends on.
    pub upstream: BTreeMap<ServiceName, Json>,
    /// Where an external worker can deliver its result later (202), if the dispatcher has an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<Callback>,
}

/// Where and with which token a result can be delivered after a 202.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// Absolute URL to POST the result to.
    pub url: String,
    /// Bearer token, good for this attempt only.
    pub token: String,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("url", &self.url).field("token", &"[hidden]").finish()
    }
}

/// What a worker says about an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`WIRE_VERSION`] of the writer.
    pub v: u32,
    /// The attempt.
    pub job: JobId,
    /// Identity of the worker process, fresh with each start.
    pub worker: String,
    /// What happened.
    pub outcome: Outcome,
}

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is being executed; sent only by attempts that are not over at once. The job stays with the worker.
    Started,
    /// An external worker took it (202) and will deliver the result to the callback. The job leaves the queue.
    Deferred,
    /// It is done.
    Completed {
        /// Milliseconds of execution.
        duration_ms: u64,
        /// The result.
        result: Json,
    },
    /// It is done, without a result.
    Failed {
        /// Milliseconds of execution.
        duration_ms: u64,
        /// Why.
        error: ServiceError,
        /// Whether another attempt might succeed.
        retryable: bool,
        /// Milliseconds that the called side asked to wait (`Retry-After`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

/// Why a service has no result: a class to act on and a text to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceError {
    /// What kind of failure.
    pub class: ErrorClass,
    /// In words, with an excerpt of what came back where that helps; never a credential.
    pub message: String,
}

impl ServiceError {
    /// An error of a class, its text cut to [`ERROR_BYTES_MAX`] and freed from control characters.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl AsRef<str>) -> Self {
        Self { class, message: printable(message.as_ref(), ERROR_BYTES_MAX) }
    }
}

/// `text` without control characters, cut to at most `bytes_max` bytes at a character's border.
#[must_use]
pub fn printable(text: &str, bytes_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(bytes_max));
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if out.len() + c.len_utf8() > bytes_max {
            break;
        }
        out.push(c);
    }
    out
}

/// Kinds of failure of a service, each asking for another remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// A key, provider or worker is not configured.
    NotConfigured,
    /// 404: the worker's endpoint does not exist.
    NotFound,
    /// 401 or 403.
    Authentication,
    /// 400 or `invalid_input`: the worker refuses the request.
    InvalidInput,
    /// 429.
    RateLimited,
    /// An HTML page where JSON was due.
    HtmlInsteadOfJson,
    /// 3xx from a worker.
    UnexpectedRedirect,
    /// The service's own time-out passed.
    Timeout,
    /// The run's deadline passed.
    DeadlinePassed,
    /// A name does not resolve.
    Dns,
    /// TLS handshake or certificate.
    Tls,
    /// TCP connection refused, reset or unreachable.
    Connection,
    /// 5xx.
    ServerError,
    /// The worker says that it failed (`ok: false`).
    WorkerError,
    /// The answer is no valid JSON object.
    InvalidResult,
    /// The answer is larger than a result may be.
    ResultTooLarge,
    /// The target's address may not be reached.
    TargetRefused,
    /// The worker's code panicked.
    Panic,
    /// The job ended several workers.
    Poison,
    /// A dependency did not complete.
    Dependencies,
    /// The run was cancelled.
    Cancelled,
    /// Anything else.
    Unknown,
}

impl ErrorClass {
    /// The word used in JSON and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotConfigured => "not_configured",
            Self::NotFound => "not_found",
            Self::Authentication => "authentication",
            Self::InvalidInput => "invalid_input",
            Self::RateLimited => "rate_limited",
            Self::HtmlInsteadOfJson => "html_instead_of_json",
            Self::UnexpectedRedirect => "unexpected_redirect",
            Self::Timeout => "timeout",
            Self::DeadlinePassed => "deadline_passed",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Connection => "connection",
            Self::ServerError => "server_error",
            Self::WorkerError => "worker_error",
            Self::InvalidResult => "invalid_result",
            Self::ResultTooLarge => "result_too_large",
            Self::TargetRefused => "target_refused",
            Self::Panic => "panic",
            Self::Poison => "poison",
            Self::Dependencies => "dependencies",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_reads_back_what_it_writes() {
        let id = JobId {
            run_id: RunId::from_uuid(uuid::Uuid::from_u128(9)),
            service: "technical-seo".parse().expect("valid"),
            attempt: 2,
        };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("x/y".parse::<JobId>().is_err());
    }

    #[test]
    fn a_job_id_has_one_text_only() {
        let id = |attempt: &str| format!("00000000000000000000000000000009/a/{attempt}").parse::<JobId>();
        assert!(id("1").is_ok());
        assert!(id("4294967295").is_ok());
        for attempt in ["+1", "01", "0", "-1", "", " 1", "1/", "4294967296"] {
            assert!(id(attempt).is_err(), "{attempt}");
        }
    }

    #[test]
    fn an_error_message_is_cut_at_a_character_and_freed_from_control_characters() {
        let error = ServiceError::new(ErrorClass::Unknown, format!("\u{1b}[31m{}", "ä".repeat(ERROR_BYTES_MAX)));
        assert!(error.message.starts_with(" [31mä"));
        assert!(error.message.len() <= ERROR_BYTES_MAX);
    }

    #[test]
    fn a_callback_never_prints_its_token() {
        let callback = Callback { url: "http://127.0.0.1/".to_owned(), token: "s3cret".to_owned() };
        assert!(!format!("{callback:?}").contains("s3cret"));
    }

    #[test]
    fn a_report_with_members_of_a_later_version_is_still_read() {
        let text = r#"{"v":1,"new":true,"job":{"run_id":"00000000000000000000000000000009","service":"a","attempt":1},
            "worker":"w","outcome":{"completed":{"duration_ms":1,"result":{"x":1.0}}}}"#;
        let report: Report = serde_json::from_str(text).expect("tolerant");
        assert!(matches!(report.outcome, Outcome::Completed { .. }));
    }
}
