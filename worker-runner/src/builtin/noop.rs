//! Worker key `noop`: does nothing, or what it is told. For examples of arbitrary plans, for tests and benchmarks.
//!
//! Parameters of the service in the plan, all optional:
//!
//! | parameter | meaning |
//! |---|---|
//! | `result` | the result to answer with; default `{}` |
//! | `echo_bytes` | answer with the attempt's run, service and number instead, filled up to about so many bytes |
//! | `delay_ms` | milliseconds to wait before answering |
//! | `fail` | fail with this text (or with `true`) instead of answering |
//! | `retryable` | whether that failure may be retried; default `false` |
//! | `panic` | panic with this text |

use std::time::Duration;

use async_trait::async_trait;
use hermes_core::limits::RESULT_BYTES_MAX;
use hermes_core::wire::{ErrorClass, ServiceError};
use hermes_core::{Json, RunId, ServiceName};
use serde::{Deserialize, Serialize};

use crate::service::{AttemptContext, Service, ServiceOutcome};

/// Attempts at a time: they cost next to nothing.
const CONCURRENCY: usize = 256;

/// The service.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

#[derive(Deserialize)]
struct Params {
    result: Option<Json>,
    echo_bytes: Option<usize>,
    #[serde(default)]
    delay_ms: u64,
    fail: Option<Fail>,
    #[serde(default)]
    retryable: bool,
    panic: Option<String>,
}

/// What shows that an answer belongs to its attempt.
#[derive(Serialize)]
struct Echo<'a> {
    run_id: RunId,
    service: &'a ServiceName,
    attempt: u32,
    filler: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fail {
    Plain(bool),
    Text(String),
}

#[async_trait]
impl Service for Noop {
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome {
        let params: Params = match attempt.job.params.read() {
            Ok(params) => params,
            Err(error) => return ServiceOutcome::failed(ErrorClass::InvalidInput, format!("Parameters: {error}")),
        };
        if params.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(params.delay_ms)).await;
        }
        if let Some(text) = params.panic {
            panic!("{text}");
        }
        let text = match params.fail {
            None | Some(Fail::Plain(false)) => {
                return ServiceOutcome::Completed(answer(attempt, params));
            }
            Some(Fail::Plain(true)) => "The plan asked for a failure".to_owned(),
            Some(Fail::Text(text)) => text,
        };
        ServiceOutcome::Failed {
            error: ServiceError::new(ErrorClass::WorkerError, text),
            retryable: params.retryable,
            retry_after_ms: None,
        }
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }
}

fn answer(attempt: &AttemptContext<'_>, params: Params) -> Json {
    let Some(bytes) = params.echo_bytes else {
        return params.result.unwrap_or_else(|| Json::of(&serde_json::json!({})));
    };
    let id = &attempt.job.id;
    let mut echo = Echo { run_id: id.run_id, service: &id.service, attempt: id.attempt, filler: String::new() };
    let missing = bytes.min(RESULT_BYTES_MAX).saturating_sub(Json::of(&echo).get().len());
    echo.filler = "x".repeat(missing);
    Json::of(&echo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{NoHttp, execute, job_for};

    #[tokio::test]
    async fn an_echo_names_its_attempt_and_is_as_long_as_it_was_asked_to_be() {
        let mut job = job_for("noop");
        job.params = Json::of(&serde_json::json!({"echo_bytes": 200}));
        let ServiceOutcome::Completed(result) = execute(&Noop, &job, &NoHttp).await else { panic!("it completes") };
        assert_eq!(result.get().len(), 200);
        let read: serde_json::Value = result.read().expect("JSON");
        assert_eq!(read["run_id"], job.id.run_id.to_string());
        assert_eq!(read["service"], job.id.service.as_str());
        assert_eq!(read["attempt"], job.id.attempt);
    }
}
